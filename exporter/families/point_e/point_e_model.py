"""Point-E: OpenAI's published files, others of the same tensors, or random weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import torch
from diffusers import HeunDiscreteScheduler
from torch import nn

from exporter.errors import RecipeError, WeightsError, did_you_mean
from exporter.families.family import Model, ModuleMaker
from exporter.families.part_files import PartFiles, digest_of
from exporter.families.point_e.clip import MEAN, STD, ClipTowers, random_clip, read_clip, read_towers
from exporter.families.point_e.diffusion_schedules import cosine_betas, linear_betas, predicted_noise
from exporter.families.point_e.network_file import bare_network
from exporter.families.point_e.network_files import POINTS, PublishedFiles, find_published
from exporter.families.point_e.networks import CHANNELS, DiffusionSize, DistanceSize
from exporter.families.point_e.point_e_modules import Cloud, CloudEncoder, DistanceField, PointDenoiser, RawPoints
from exporter.families.point_e.point_e_original import PointEOriginal
from exporter.families.point_e.random_networks import RANDOM_SIZES, TOKENIZER_MODEL, RandomNetwork, clip_configs
from exporter.families.point_e.zoo_files import find_of_zoo, is_of_zoo
from exporter.families.vocabulary import require_words_told_apart
from exporter.pipeline.assets import Asset, MeshAsset, PointsAsset
from exporter.pipeline.inputs import Input, PictureInput, TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe
from exporter.recipe.weights_name import ZOO

TOKENIZER = "tokenizer/tokenizer.json"
PAD_ID = 0
GRID_TOKENS = 256
VECTOR, GRID = "clip_vector", "clip_grid"
HALF_WIDTH = 0.51  # the original evaluates distances in a cube of edge 1.02
VOLUME = Volume(distance="signed_distance", density="density", color="color", half_width=HALF_WIDTH, squash="none")
Reads = Literal["text", "picture", "nothing"]


class Network(Protocol):
    """A network that is known by its size, and made when it is wanted."""

    @property
    def size(self) -> DiffusionSize | DistanceSize: ...

    def network(self) -> Any: ...


def load(weights: str, *, clip: str | None = None) -> PointE:
    """Point-E with these weights: 'point-e-mini' or another of the zoo, the file of a base model, beside which the
    others are found, a folder with one base model in it, or 'random:SIZE[:seed]'.

    Whether a base model of CLIP vectors was trained on texts or on pictures cannot be told from its tensors: one whose
    name has 'imagevec' takes pictures. `clip`: a folder or hub name of CLIP ViT-L/14, for none the folder
    clip-vit-large-patch14 beside the files. Raises WeightsError, RecipeError for `clip` beside weights that have their
    own.
    """
    is_random = weights.startswith("random:")
    if clip and (is_random or is_of_zoo(weights)):
        raise RecipeError(f"model.clip: {clip!r} is given, and {weights!r} has its own; leave this field out")
    if is_random:
        return _random(weights)
    return _published(weights, find_of_zoo(weights) if is_of_zoo(weights) else find_published(weights, clip))


class PointE(Model):
    """The networks of one Point-E. `upsampler` and `distance` may be missing: then there are fewer points, or no mesh.

    `points`: how many the base makes, and how many the upsampler beside them.
    """

    def __init__(
        self,
        *,
        source: str,
        digest: str,
        trained: bool,
        reads: Reads,
        base: Network,
        upsampler: Network | None,
        distance: Network | None,
        clip: ClipTowers | None,
        points: tuple[int, int] = POINTS,
    ) -> None:
        self.weights_source = source
        self.weights_digest = digest
        self.trained = trained
        self.reads = reads
        self.base = base
        self.upsampler = upsampler
        self.distance = distance
        self.clip = clip
        self.points = points
        if clip and reads == "text":
            tokenizer, known = clip.tokenizer(), clip.text.vocab_size
            require_words_told_apart(lambda text: tokenizer(text).input_ids, known, clip.tokenizer_folder)

    def unfilled(self) -> PointE:
        """The same networks on the meta device."""
        bare = copy(self)
        bare.base = BareNetwork(self.base.size)
        bare.upsampler = BareNetwork(self.upsampler.size) if self.upsampler else None
        bare.distance = BareNetwork(self.distance.size) if self.distance else None
        if self.clip:
            bare.clip = replace(self.clip, make=_on_meta)
        return bare

    def pipeline(self, recipe: Recipe) -> Pipeline:
        vector, grid = self._vector, self._grid
        base = _diffusion(self.base)
        conditions = {"none": [], "vector": [vector], "grid": [grid]}[base.condition]
        count, added = self.points
        low_res = _tensor("low_res", count, CHANNELS)
        latents = _tensor("base_latents", count, CHANNELS)
        stages: dict[str, PipelineStage] = {}
        if self.reads == "text":
            tokens = TensorSpec("input_ids", "int64", ("batch", self._clip.text.max_position_embeddings))
            stages["text_encoder"] = PipelineStage(kind="encode", inputs=[tokens], outputs=[vector])
        if self.reads == "picture":
            size = self._clip.picture_size
            pixels = TensorSpec("pixels", "float32", ("batch", 3, size, size))
            stages["image_encoder"] = PipelineStage(kind="encode", inputs=[pixels], outputs=self._seen)
        stages["base"] = PipelineStage(kind="sample", inputs=conditions, outputs=[latents])
        stages["base_points"] = PipelineStage(kind="map", inputs=[latents], outputs=[low_res])
        sampled = [low_res]
        if self.upsampler:
            finer = _tensor("upsampler_latents", added, CHANNELS)
            pictured = [grid] if self._sees_picture else []
            stages["upsampler"] = PipelineStage(kind="sample", inputs=[*pictured, low_res], outputs=[finer])
            sampled.append(finer)
        total = count + added if self.upsampler else count
        positions, colors = _tensor("positions", total, 3), _tensor("colors", total, 3)
        stages["cloud"] = PipelineStage(kind="map", inputs=sampled, outputs=[positions, colors])
        points = PointsAsset(positions=positions.name, half_width=HALF_WIDTH, colors=colors.name)
        assets: dict[str, Asset] = {"points": points}
        if self.distance:
            encoded = self._encoded(total)
            stages["cloud_encoder"] = PipelineStage(kind="map", inputs=[positions], outputs=encoded)
            stages["field"] = PipelineStage(
                kind="field",
                inputs=[_tensor("points", "points", 3), positions, colors, *encoded],
                outputs=[
                    _tensor(VOLUME.distance, "points", 1),
                    _tensor(VOLUME.density, "points", 1),
                    _tensor(VOLUME.color, "points", 3),
                ],
                volume=VOLUME,
            )
            assets["mesh"] = MeshAsset(stage="field", grid=recipe.mesh.grid, extraction=recipe.mesh.extraction)
        return Pipeline(inputs=self._inputs(), stages=stages, assets=assets)

    def input_files(self) -> dict[str, bytes]:
        if not self.clip or self.reads != "text":
            return {}
        data = json.loads(self.clip.tokenizer().backend_tokenizer.to_str())
        data["truncation"] = data["padding"] = None
        return {TOKENIZER: json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()}

    def modules(self, recipe: Recipe) -> dict[str, ModuleMaker]:
        makers = self._unsampled()
        makers["base"] = lambda: PointDenoiser(self.base.network())
        if self.upsampler:
            upsampler = self.upsampler
            unseen = 0 if self._sees_picture or not self._upsampler_takes_grid else self.grid_shape[0]
            makers["upsampler"] = lambda: PointDenoiser(upsampler.network(), unseen)
        return {stage: makers[stage] for stage in self.pipeline(recipe).stages}

    def scheduler(self, stage: str) -> HeunDiscreteScheduler:
        betas = {"base": cosine_betas, "upsampler": linear_betas}
        return predicted_noise(betas[stage]())

    def original(self, recipe: Recipe) -> PointEOriginal:
        networks = {"base": self.base.network}
        if self.upsampler:
            networks["upsampler"] = self.upsampler.network
        pipeline = self.pipeline(recipe)
        return PointEOriginal(self._unsampled(), networks, self.grid_shape, self.clip, pipeline, recipe, self.scheduler)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Tokens and width of the grid that the upsampler sees, of zeros where there is no picture."""
        tokens = self.clip.grid_tokens if self.clip else GRID_TOKENS
        return tokens, _diffusion(self.upsampler).clip_width if self.upsampler else 0

    def _unsampled(self) -> dict[str, ModuleMaker]:
        """The modules of the stages that are not sampled."""
        makers: dict[str, ModuleMaker] = {"base_points": RawPoints, "cloud": Cloud}
        if self.reads == "text":
            makers["text_encoder"] = self._clip.text_encoder
        if self.reads == "picture":
            seen = [spec.name for spec in self._seen]
            makers["image_encoder"] = lambda: self._clip.picture_encoder(VECTOR in seen, GRID in seen)
        if self.distance:
            distance = self.distance
            makers["cloud_encoder"] = lambda: CloudEncoder(distance.network())
            makers["field"] = lambda: DistanceField(distance.network())
        return makers

    def _inputs(self) -> dict[str, Input]:
        if self.reads == "text":
            length = self._clip.text.max_position_embeddings
            return {"prompt": TextInput(tensor="input_ids", file=TOKENIZER, length=length, pad_id=PAD_ID)}
        if self.reads == "picture":
            size = self._clip.picture_size
            return {
                "picture": PictureInput(
                    tensor="pixels", size=size, shorter_edge=size, resampling="bicubic", mean=MEAN, std=STD
                )
            }
        return {}

    @property
    def _clip(self) -> ClipTowers:
        assert self.clip is not None, "a model that reads nothing has no CLIP"
        return self.clip

    @property
    def _vector(self) -> TensorSpec:
        return _tensor(VECTOR, _diffusion(self.base).clip_width)

    @property
    def _grid(self) -> TensorSpec:
        width = _diffusion(self.base).clip_width
        if self._upsampler_takes_grid:
            width = self.grid_shape[1]
        return _tensor(GRID, self.grid_shape[0], width)

    @property
    def _upsampler_takes_grid(self) -> bool:
        return self.upsampler is not None and _diffusion(self.upsampler).condition == "grid"

    @property
    def _sees_picture(self) -> bool:
        """Whether the upsampler is conditioned on a picture."""
        return self.reads == "picture" and self._upsampler_takes_grid

    @property
    def _seen(self) -> list[TensorSpec]:
        """What is made of a picture: what the networks take."""
        if self.reads != "picture":
            return []
        base = _diffusion(self.base).condition
        vector = [self._vector] if base == "vector" else []
        return [*vector, self._grid] if base == "grid" or self._sees_picture else vector

    def _encoded(self, count: int) -> list[TensorSpec]:
        """Keys and values of every layer of the field."""
        assert self.distance is not None and isinstance(self.distance.size, DistanceSize)
        size = self.distance.size
        return [
            _tensor(f"{what}_{layer}", count, size.width)
            for layer in range(size.decoder_layers)
            for what in ("keys", "values")
        ]


@dataclass(frozen=True)
class BareNetwork:
    """A network on the meta device: made in milliseconds, without a number in it."""

    size: DiffusionSize | DistanceSize

    def network(self) -> nn.Module:
        with torch.device("meta"):
            return bare_network(self.size)


def _published(weights: str, files: PublishedFiles) -> PointE:
    base = _diffusion(files.base)
    reads: Reads = "nothing"
    if base.condition != "none":
        reads = "picture" if base.condition == "grid" or "imagevec" in files.base.path.name else "text"
    clip = _towers(files.clip)
    if clip:
        width = clip.vision.hidden_size if base.condition == "grid" else clip.text.projection_dim
        if width != base.clip_width:
            folder = next(iter(files.clip.values())).folder
            raise WeightsError(
                f"{folder}: CLIP's {base.condition} is {width} wide, and {files.base.path.name} takes "
                f"{base.clip_width}; the two belong to different models"
            )
    model = PointE(
        source=weights,
        digest=digest_of(files.files),
        trained=True,
        reads=reads,
        base=files.base,
        upsampler=files.upsampler,
        distance=files.distance,
        clip=clip,
        points=files.points,
    )
    model.weights_files = files.files
    return model


def _towers(parts: Mapping[str, PartFiles]) -> ClipTowers | None:
    if not parts:
        return None
    if "clip" in parts:
        return read_clip(parts["clip"])
    return read_towers(parts["text_encoder"], parts["tokenizer"], parts["image_encoder"])


def _random(weights: str) -> PointE:
    _, name, *rest = weights.split(":")
    if name not in RANDOM_SIZES:
        raise WeightsError(f"weights {weights!r}: no size {name!r}; {did_you_mean(name, RANDOM_SIZES)}")
    if len(rest) > 1 or not all(part.isdecimal() for part in rest):
        raise WeightsError(f"weights {weights!r}: the seed must be one whole number, as in 'random:{name}:7'")
    seed, size = int(rest[0]) if rest else 0, RANDOM_SIZES[name]
    text, vision = clip_configs(size)
    identity = json.dumps([name, seed, size.to_dict(), text.to_dict(), vision.to_dict()], sort_keys=True, default=str)
    return PointE(
        source=weights,
        digest=hashlib.sha256(identity.encode()).hexdigest(),
        trained=False,
        reads=size.reads,
        base=RandomNetwork(size.base, 4 * seed),
        upsampler=RandomNetwork(size.upsampler, 4 * seed + 1),
        distance=RandomNetwork(size.distance, 4 * seed + 2),
        clip=random_clip(text, vision, ZOO / TOKENIZER_MODEL / "tokenizer", 4 * seed + 3),
        points=size.points,
    )


def _diffusion(network: Network) -> DiffusionSize:
    assert isinstance(network.size, DiffusionSize)
    return network.size


def _on_meta(kind: type, config: Any) -> nn.Module:
    with torch.device("meta"):
        return kind(config)


def _tensor(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", ("batch", *shape))
