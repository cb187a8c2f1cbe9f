"""TripoSR (a picture to 3D): the released layout, the small trained model of the zoo, or random weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from copy import copy
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from exporter.errors import UnusableWeights, WeightsError, did_you_mean
from exporter.families import known_shapes
from exporter.families.checkpoint import open_checkpoint
from exporter.families.family import Model, ModuleMaker
from exporter.families.part_files import WeightsFile, digest_of
from exporter.families.repository import FolderRepository, open_repository
from exporter.families.triposr.image_to_planes import Backbone, split_off_norm
from exporter.families.triposr.random_planes import RANDOM_SIZES, fill_random_part
from exporter.families.triposr.released_layout import (
    CHECKPOINT,
    CONFIG,
    SAFETENSORS,
    ReleasedConfig,
    parse_config,
    part_of,
    read_config,
)
from exporter.families.triposr.shaped_planes import ShapedPlanes
from exporter.families.triposr.triplane_field import Radiance, TriplaneField, TriplaneRenderer
from exporter.families.triposr.triplane_networks import PART_CLASSES, ImageTokenizer
from exporter.families.triposr.triposr_original import (
    BACKGROUND,
    FOREGROUND,
    PLAIN_TOLERANCE,
    TripoSROriginal,
    TripoSRParts,
    read_as_released,
)
from exporter.families.weights import fill, without_initialisation
from exporter.files.atomic import sha256_of
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.inputs import Framing, PictureInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe
from exporter.recipe.weights_name import ZOO

ZOO_MODELS = {"triposr-mini": ZOO / "triposr_mini"}
FRAMING = Framing(share=FOREGROUND, background=BACKGROUND, tolerance=PLAIN_TOLERANCE)


def load(weights: str) -> TripoSR:
    """TripoSR with these weights: one of the zoo, a folder in the released layout, 'org/name' on the hub,
    'random:SIZE[:seed]', or any of these with a known shape for its field, 'shaped:WEIGHTS[:shape]'.

    Raises WeightsError.
    """
    if known_shapes.is_shaped(weights):
        return _shaped(weights)
    if weights.startswith("random:"):
        return _random(weights)
    own = ZOO_MODELS.get(weights)
    root = FolderRepository(own, weights) if own and own.is_dir() else open_repository(weights)
    tensors = next((name for name in (CHECKPOINT, SAFETENSORS) if name in root.names), None)
    if CONFIG not in root.names or tensors is None:
        missing = CONFIG if CONFIG not in root.names else f"{CHECKPOINT} or {SAFETENSORS}"
        raise UnusableWeights(f"{root.source}: {missing}: missing (it has {root.shown()})")
    config, path = read_config(root.fetch(CONFIG)), root.fetch(tensors)
    checkpoint = cache(lambda: open_checkpoint([path]))
    files = tuple(
        WeightsFile("model", name, sha256_of(root.fetch(name)), root.fetch(name).stat().st_size)
        for name in (CONFIG, tensors)
    )
    made = TripoSR(
        root.source,
        digest_of(files),
        trained=True,
        config=config,
        fill_part=lambda module, part: fill(module, part_of(checkpoint(), part, config.tokens), CONFIG),
    )
    made.weights_files = files
    return made


class TripoSR(Model):
    """TripoSR's configuration and a way to fill its parts; a part is built when a stage or the original needs it."""

    def __init__(
        self,
        source: str,
        digest: str,
        *,
        trained: bool,
        config: ReleasedConfig,
        fill_part: Callable[[nn.Module, str], None],
    ) -> None:
        self.weights_source = source
        self.weights_digest = digest
        self.trained = trained
        self.config = config
        self.fill_part = fill_part
        self.device = torch.device("cpu")

    def unfilled(self) -> TripoSR:
        """The same modules on the meta device, without a number in them."""
        bare = copy(self)
        bare.device = torch.device("meta")
        bare.fill_part = lambda module, part: None
        return bare

    def pipeline(self, recipe: Recipe) -> Pipeline:
        config, mesh = self.config, recipe.mesh
        pixels = _tensor("pixels", 3, config.image_size, config.image_size)
        image_tokens = _tensor("image_tokens", config.tokens, config.token_width)
        planes = _tensor("planes", *config.planes)
        volume = Volume(
            distance="excess",
            density="density",
            color="color",
            half_width=config.field.radius,
            squash="exp",
            level=config.field.level,
        )
        outputs = [_tensor(name, "points", 1) for name in (volume.distance, volume.density)]
        outputs.append(_tensor(volume.color, "points", 3))
        return Pipeline(
            inputs={"picture": self.picture},
            stages={
                "image_encoder": PipelineStage(kind="encode", inputs=[pixels], outputs=[image_tokens]),
                "backbone": PipelineStage(kind="map", inputs=[image_tokens], outputs=[planes]),
                "field": PipelineStage(
                    kind="field", inputs=[_tensor("points", "points", 3), planes], outputs=outputs, volume=volume
                ),
                "renderer": PipelineStage(
                    kind="render",
                    inputs=[_tensor("rays", "rays", 2, 3), planes],
                    outputs=[_tensor("color", "rays", 3)],
                ),
            },
            assets={
                "mesh": MeshAsset(stage="field", grid=mesh.grid, extraction=mesh.extraction),
                "image": ImageAsset(stage="renderer", size=recipe.render.size),
            },
        )

    @property
    def picture(self) -> PictureInput:
        """How a picture is read: values from 0 to 1, which the first program normalises itself."""
        return PictureInput(
            tensor="pixels",
            size=self.config.image_size,
            resampling="bilinear",
            resized_as="floats",
            mean=(0, 0, 0),
            std=(1, 1, 1),
            framing=FRAMING,
        )

    def input_files(self) -> dict[str, bytes]:
        return {}

    def modules(self, recipe: Recipe) -> dict[str, ModuleMaker]:
        samples = recipe.render.coarse_samples
        return {
            "image_encoder": lambda: self.vision()[0],
            "backbone": self.planes,
            "field": lambda: TriplaneField(self.radiance()),
            "renderer": lambda: TriplaneRenderer(self.radiance(), samples),
        }

    def scheduler(self, stage: str) -> Any:
        return TripoSROriginal.no_scheduler(stage)

    def original(self, recipe: Recipe) -> TripoSROriginal:
        parts = TripoSRParts(
            cache(self.vision),
            cache(partial(self.part, "tokenizer")),
            cache(partial(self.part, "backbone")),
            cache(partial(self.part, "post_processor")),
            cache(self.radiance),
            partial(read_as_released, size=self.config.image_size),
        )
        return TripoSROriginal(parts, self.pipeline(recipe), recipe, recipe.render.coarse_samples)

    def vision(self) -> tuple[ImageTokenizer, nn.LayerNorm]:
        """The vision tower with these weights, its last normalisation apart."""
        return split_off_norm(self.part("image_tokenizer"))

    def planes(self) -> Backbone:
        """What makes planes of the vision tower's tokens, with these weights."""
        parts = (self.part(name) for name in ("tokenizer", "backbone", "post_processor"))
        return Backbone(self.vision()[1], *parts)

    def radiance(self) -> Radiance:
        """The field's network with these weights."""
        return Radiance(self.part("decoder"), self.config.field)

    def part(self, name: str) -> Any:
        """A part of the release with these weights."""
        with without_initialisation(), self.device:
            module = PART_CLASSES[name](**self.config.parts[name])
        self.fill_part(module, name)
        return module.float().eval().requires_grad_(False)


def _random(weights: str) -> TripoSR:
    _, size, *rest = weights.split(":")
    if size not in RANDOM_SIZES:
        raise WeightsError(f"weights {weights!r}: no size {size!r}; {did_you_mean(size, RANDOM_SIZES)}")
    if len(rest) > 1 or not all(part.isdecimal() for part in rest):
        raise WeightsError(f"weights {weights!r}: the seed must be one whole number, as in 'random:{size}:7'")
    seed, parts = int(rest[0]) if rest else 0, list(PART_CLASSES)
    config = parse_config(RANDOM_SIZES[size], weights)
    identity = json.dumps([size, seed, RANDOM_SIZES[size]], sort_keys=True).encode()
    return TripoSR(
        weights,
        hashlib.sha256(identity).hexdigest(),
        trained=False,
        config=config,
        fill_part=lambda module, part: fill_random_part(module, part, seed * len(parts) + parts.index(part)),
    )


def _shaped(weights: str) -> TripoSR:
    inner, shape = known_shapes.split_name(weights)
    plain = load(inner)
    made = copy(plain)
    planes = ShapedPlanes(plain.config, shape)

    def fill_part(module: nn.Module, part: str) -> None:
        plain.fill_part(module, part)
        planes.give(module, part)

    made.weights_source, made.trained, made.fill_part = weights, False, fill_part
    identity = f"{known_shapes.PREFIX}{plain.weights_digest}:{shape}"
    made.weights_digest = hashlib.sha256(identity.encode()).hexdigest()
    return made


def _tensor(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", ("batch", *shape))
