"""Shap-E (text to 3D): openai/shap-e in diffusers' layout, the small trained model of the zoo, or random weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import HeunDiscreteScheduler, PriorTransformer
from diffusers.pipelines.shap_e.renderer import ShapERenderer
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from exporter.errors import WeightsError, did_you_mean
from exporter.families import stress
from exporter.families.family import Model, ModuleMaker
from exporter.families.shap_e import shaped
from exporter.families.shap_e.modules import (
    FieldNetwork,
    PriorDenoiser,
    Projector,
    ShapEField,
    TextEncoder,
    output_name,
)
from exporter.families.shap_e.random_weights import RANDOM_CONFIGS, fill_random_part
from exporter.families.shap_e.renderer import Renderer
from exporter.families.shap_e.shap_e_pipeline import Parts, ShapEOriginal
from exporter.families.vocabulary import require_clips_own, require_words_told_apart
from exporter.families.weights import (
    digest_parts,
    fill,
    find_parts,
    read_json,
    require_files,
    without_initialisation,
)
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe

ZOO_MODELS = {"shap-e-mini": ("shap_e_mini",), "shap-e-mini-4step": ("shap_e_mini_4step", "shap_e_mini")}
TOKENIZER = "tokenizer/tokenizer.json"
PAD_ID = 0
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "text_encoder": (("config.json",),),
    "tokenizer": (("tokenizer.json",), ("vocab.json", "merges.txt")),
    "prior": (("config.json",),),
    "scheduler": (("scheduler_config.json",),),
    "shap_e_renderer": (("config.json",),),
}
"""The files of each part's folder, one list or another; weights are looked for when they are read."""
PARTS = tuple(NEEDED)
RANDOM_SIZES = (*RANDOM_CONFIGS, "shap-e-mini")


def load(weights: str) -> ShapE:
    """Shap-E with these weights: 'shap-e-mini' or another of the zoo, a folder, 'org/name' on the hub,
    'random:SIZE[:seed]', or any of these with synthetic outliers, 'stress:WEIGHTS[:factor]', or with a field of a known
    shape, 'shaped:WEIGHTS[:shape]'.

    Raises WeightsError.
    """
    if stress.is_synthetic(weights):
        return _stressed(weights)
    if shaped.is_shaped(weights):
        return _shaped(weights)
    if weights.startswith("random:"):
        return _random(weights)
    folders = find_parts(weights, ZOO_MODELS, PARTS)
    for part, alternatives in NEEDED.items():
        require_files(folders[part], *alternatives)
    configs = _read_configs(folders)
    return ShapE(
        source=weights,
        digest=digest_parts(folders),
        trained=True,
        configs=configs,
        tokenizer_folder=folders["tokenizer"],
        fill_part=lambda module, part: fill(module, folders[part]),
    )


class ShapE(Model):
    """Shap-E's configurations and a way to fill its parts; a part is built when a stage or the reference needs it."""

    def __init__(
        self,
        *,
        source: str,
        digest: str,
        trained: bool,
        configs: dict[str, dict[str, Any]],
        tokenizer_folder: Path,
        fill_part: Callable[[torch.nn.Module, str], None],
    ) -> None:
        self.weights_source = source
        self.weights_digest = digest
        self.trained = trained
        self.configs = configs
        self.tokenizer_folder = tokenizer_folder
        self.fill_part = fill_part
        self.device = torch.device("cpu")
        _require_text_to_3d(configs["prior"], source)
        self.context_length = configs["text_encoder"]["max_position_embeddings"]
        tokenizer, known = self.tokenizer(), configs["text_encoder"]["vocab_size"]
        require_words_told_apart(lambda text: tokenizer(text).input_ids, known, tokenizer_folder)
        require_clips_own(lambda text: tokenizer(text).input_ids, len(tokenizer), tokenizer_folder)

    def unfilled(self) -> ShapE:
        """The same modules on the meta device: made in milliseconds, without a number in them."""
        bare = copy(self)
        bare.device = torch.device("meta")
        bare.fill_part = lambda module, part: None
        return bare

    def pipeline(self, recipe: Recipe) -> Pipeline:
        prior = self.configs["prior"]
        embedding = _tensor("embedding", self.configs["text_encoder"]["projection_dim"])
        latents = _tensor("latents", prior["num_embeddings"], prior["embedding_dim"])
        weights = self._weight_specs()
        volume = Volume(distance="signed_distance", density="density", color="color")
        outputs = [_tensor(volume.distance, "points", 1), _tensor(volume.density, "points", 1)]
        outputs.append(_tensor(volume.color, "points", 3))
        tokens = TensorSpec("input_ids", "int64", ("batch", self.context_length))
        mesh, render = recipe.mesh, recipe.render
        return Pipeline(
            inputs={
                "prompt": TextInput(tensor="input_ids", file=TOKENIZER, length=self.context_length, pad_id=PAD_ID),
            },
            stages={
                "text_encoder": PipelineStage(kind="encode", inputs=[tokens], outputs=[embedding]),
                "denoiser": PipelineStage(kind="sample", inputs=[embedding], outputs=[latents]),
                "projector": PipelineStage(kind="map", inputs=[latents], outputs=weights),
                "field": PipelineStage(
                    kind="field", inputs=[_tensor("points", "points", 3), *weights], outputs=outputs, volume=volume
                ),
                "renderer": PipelineStage(
                    kind="render",
                    inputs=[_tensor("rays", "rays", 2, 3), *weights],
                    outputs=[_tensor("color", "rays", 3)],
                ),
            },
            assets={
                "mesh": MeshAsset(stage="field", grid=mesh.grid, extraction=mesh.extraction),
                "image": ImageAsset(stage="renderer", size=render.size),
            },
        )

    def input_files(self) -> dict[str, bytes]:
        return {TOKENIZER: _tokenizer_json(self.tokenizer())}

    def modules(self, recipe: Recipe) -> dict[str, ModuleMaker]:
        return {
            "text_encoder": lambda: TextEncoder(self.text_encoder()),
            "denoiser": lambda: PriorDenoiser(self.prior()),
            "projector": lambda: Projector(self.renderer().params_proj),
            "field": lambda: ShapEField(self._network(self.renderer())),
            "renderer": lambda: self._renderer_module(recipe),
        }

    def scheduler(self, stage: str) -> HeunDiscreteScheduler:
        return HeunDiscreteScheduler.from_config(self.configs["scheduler"])

    def original(self, recipe: Recipe) -> ShapEOriginal:
        parts = Parts(cache(self.text_encoder), cache(self.prior), cache(self.renderer), cache(self.tokenizer))
        return ShapEOriginal(parts, self.pipeline(recipe), recipe, self.scheduler)

    def tokenizer(self) -> CLIPTokenizer:
        """transformers' tokenizer of these weights. Raises WeightsError where there is none."""
        try:
            return CLIPTokenizer.from_pretrained(
                self.tokenizer_folder, local_files_only=True, model_max_length=self.context_length
            )
        except (OSError, ValueError) as error:
            raise WeightsError(f"{self.tokenizer_folder}: no CLIP tokenizer can be read here ({error})") from error

    def text_encoder(self) -> CLIPTextModelWithProjection:
        """transformers' text encoder with these weights."""
        return self._build(lambda config: CLIPTextModelWithProjection(CLIPTextConfig(**config)), "text_encoder")

    def prior(self) -> PriorTransformer:
        """diffusers' prior with these weights."""
        return self._build(PriorTransformer.from_config, "prior")

    def renderer(self) -> ShapERenderer:
        """diffusers' renderer, latent projection included, with these weights."""
        return self._build(ShapERenderer.from_config, "shap_e_renderer")

    def _renderer_module(self, recipe: Recipe) -> Renderer:
        renderer, settings = self.renderer(), recipe.render
        background = renderer.void.get_buffer("background")
        return Renderer(self._network(renderer), background, settings.coarse_samples, settings.fine_samples)

    def _network(self, renderer: ShapERenderer) -> FieldNetwork:
        return FieldNetwork(renderer.mlp, [spec.name for spec in self._weight_specs()])

    def _weight_specs(self) -> list[TensorSpec]:
        config = self.configs["shap_e_renderer"]
        named = zip(config["param_names"], config["param_shapes"], strict=True)
        return [_tensor(output_name(name), *shape) for name, shape in named]

    def _build(self, make: Callable[[dict[str, Any]], Any], part: str) -> Any:
        with without_initialisation(), self.device:
            module = make(self.configs[part])
        self.fill_part(module, part)
        return module.float().eval().requires_grad_(False)


def _random(weights: str) -> ShapE:
    _, size, *rest = weights.split(":")
    if size not in RANDOM_SIZES:
        raise WeightsError(f"weights {weights!r}: no size {size!r}; {did_you_mean(size, RANDOM_SIZES)}")
    if len(rest) > 1 or not all(part.isdecimal() for part in rest):
        raise WeightsError(f"weights {weights!r}: the seed must be one whole number, as in 'random:{size}:7'")
    seed = int(rest[0]) if rest else 0
    mini = find_parts("shap-e-mini", ZOO_MODELS, PARTS)
    own = _read_configs(mini)
    if size == "shap-e-mini":
        configs = own
    else:
        ends = {
            "eos_token_id": own["text_encoder"]["eos_token_id"],
            "bos_token_id": own["text_encoder"]["bos_token_id"],
        }
        chosen = RANDOM_CONFIGS[size]
        configs = {**chosen, "text_encoder": chosen["text_encoder"] | ends}
    identity = json.dumps([size, seed, configs], sort_keys=True).encode()
    return ShapE(
        source=weights,
        digest=hashlib.sha256(identity).hexdigest(),
        trained=False,
        configs=configs,
        tokenizer_folder=mini["tokenizer"],
        fill_part=lambda module, part: fill_random_part(module, seed * len(PARTS) + PARTS.index(part)),
    )


def _stressed(weights: str) -> ShapE:
    inner, factor = stress.split_name(weights)
    plain = load(inner)

    def fill_part(module: torch.nn.Module, part: str) -> None:
        plain.fill_part(module, part)
        if part == "prior":
            stress.inject_outliers(module, factor)

    return ShapE(
        source=weights,
        digest=hashlib.sha256(f"{stress.PREFIX}{plain.weights_digest}:{factor}".encode()).hexdigest(),
        trained=plain.trained,
        configs=plain.configs,
        tokenizer_folder=plain.tokenizer_folder,
        fill_part=fill_part,
    )


def _shaped(weights: str) -> ShapE:
    inner, shape = shaped.split_name(weights)
    plain, field = load(inner), shaped.ShapedField(shape)

    def fill_part(module: torch.nn.Module, part: str) -> None:
        plain.fill_part(module, part)
        if isinstance(module, ShapERenderer):
            field.give(module)

    return ShapE(
        source=weights,
        digest=hashlib.sha256(f"{shaped.PREFIX}{plain.weights_digest}:{shape}".encode()).hexdigest(),
        trained=False,
        configs=plain.configs,
        tokenizer_folder=plain.tokenizer_folder,
        fill_part=fill_part,
    )


def _read_configs(folders: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    files = {part: "scheduler_config.json" if part == "scheduler" else "config.json" for part in PARTS}
    return {part: read_json(folders[part] / file) for part, file in files.items() if part != "tokenizer"}


def _require_text_to_3d(prior: dict[str, Any], source: str) -> None:
    """Only the prior of the text model: a single embedding in, every token of the latent out."""
    for key, wanted in (("added_emb_type", None), ("encoder_hid_proj_type", None)):
        if prior.get(key, "default") != wanted:
            raise WeightsError(
                f"weights {source!r}: prior/config.json has {key} {prior.get(key)!r}, Shap-E has {wanted!r}; "
                "this is another model's prior"
            )


def _tensor(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", ("batch", *shape))


def _tokenizer_json(tokenizer: CLIPTokenizer) -> bytes:
    """Truncation and padding are left out of the JSON: the runtime does both, from the context length."""
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    data["truncation"] = None
    data["padding"] = None
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
