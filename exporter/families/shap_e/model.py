"""Shap-E (text to 3D): openai/shap-e in diffusers' layout, the small trained model of the zoo, or random weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import HeunDiscreteScheduler, PriorTransformer
from diffusers.pipelines.shap_e.renderer import ShapERenderer
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from exporter.errors import RecipeError, WeightsError, did_you_mean
from exporter.families import stress
from exporter.families.family import Model, ModuleMaker
from exporter.families.part_files import ModelFiles, Needed, WeightsFile, find_parts
from exporter.families.repository import open_repository
from exporter.families.shap_e import shaped
from exporter.families.shap_e.modules import (
    FieldNetwork,
    PriorDenoiser,
    Projector,
    ShapEField,
    TextEncoder,
    output_name,
)
from exporter.families.shap_e.openai_files import is_openai, open_openai, what_it_is
from exporter.families.shap_e.random_weights import FIRST_GAIN, HIDDEN_GAIN, RANDOM_CONFIGS, fill_random_part
from exporter.families.shap_e.renderer import Renderer
from exporter.families.shap_e.shap_e_pipeline import Parts, ShapEOriginal
from exporter.families.vocabulary import require_words_told_apart
from exporter.families.weights import fill, without_initialisation
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.inputs import TextInput
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe

ZOO_MODELS = {"shap-e-mini": ("shap_e_mini",), "shap-e-mini-4step": ("shap_e_mini_4step", "shap_e_mini")}
TOKENIZER = "tokenizer/tokenizer.json"
PAD_ID = 0
NEEDED = {
    "text_encoder": Needed(files=(("config.json",),)),
    "tokenizer": Needed(
        files=(("tokenizer.json",), ("vocab.json", "merges.txt")),
        optional=("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
        tensors=False,
    ),
    "prior": Needed(files=(("config.json",),)),
    "scheduler": Needed(files=(("scheduler_config.json",),), tensors=False),
    "shap_e_renderer": Needed(files=(("config.json",),)),
}
PARTS = tuple(NEEDED)
RANDOM_SIZES = (*RANDOM_CONFIGS, "shap-e-mini")


def load(weights: str, *, variant: str | None = None, decoder: str | None = None, clip: str | None = None) -> ShapE:
    """Shap-E with these weights: 'shap-e-mini' or another of the zoo, a folder, 'org/name[@revision]' on the hub,
    'random:SIZE[:seed]', or any of these with synthetic outliers, 'stress:WEIGHTS[:factor]', or with a field of a known
    shape, 'shaped:WEIGHTS[:shape]'. A folder has the hub's layout, or OpenAI's own files.

    `variant`: of the hub's files, such as 'fp16'. `decoder`, `clip`: of OpenAI's own files, as of `open_openai`.
    Raises WeightsError, RecipeError for a setting that these weights have no use for.
    """
    if stress.is_synthetic(weights):
        inner, factor = stress.split_name(weights)
        return _stressed(weights, load(inner, variant=variant, decoder=decoder, clip=clip), factor)
    if shaped.is_shaped(weights):
        inner, shape = shaped.split_name(weights)
        return _shaped(weights, load(inner, variant=variant, decoder=decoder, clip=clip), shape)
    if weights.startswith("random:"):
        _refuse("random weights have none", variant=variant, decoder=decoder, clip=clip)
        return _random(weights)
    repository = weights if weights in ZOO_MODELS else open_repository(weights)
    if not isinstance(repository, str) and is_openai(repository.names):
        _refuse("OpenAI's own files come in one precision", variant=variant)
        published = open_openai(repository, NEEDED["tokenizer"], decoder, clip)
        model = _of_files(published.files, published.configs)
        model.fill_part = lambda module, part: fill(module, published.checkpoints[part])
        model.weights_notes = published.notes
        return model
    _refuse("it is about OpenAI's own files, which these are not", decoder=decoder, clip=clip)
    files = find_parts(repository, ZOO_MODELS, NEEDED, variant, what_it_is)
    return _of_files(files, _read_configs(files))


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
        files: tuple[WeightsFile, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        self.weights_source = source
        self.weights_digest = digest
        self.trained = trained
        self.weights_files, self.weights_notes = files, notes
        self.configs = configs
        self.tokenizer_folder = tokenizer_folder
        self.fill_part = fill_part
        self.device = torch.device("cpu")
        _require_text_to_3d(configs["prior"], source)
        self.context_length = configs["text_encoder"]["max_position_embeddings"]
        tokenizer, known = self.tokenizer(), configs["text_encoder"]["vocab_size"]
        require_words_told_apart(lambda text: tokenizer(text).input_ids, known, tokenizer_folder)

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
                "prompt": TextInput(
                    tensor="input_ids",
                    file=TOKENIZER,
                    length=self.context_length,
                    pad_id=PAD_ID,
                    clean=recipe.tokenizer.clean,
                ),
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
                "mesh": MeshAsset(stage="field", **mesh.model_dump()),
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
        renderer = cache(lambda: self._renderer_before(recipe))
        parts = Parts(cache(self.text_encoder), cache(self.prior), renderer, cache(self.tokenizer))
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
        renderer, settings = self._renderer_before(recipe), recipe.render
        background = renderer.void.get_buffer("background")
        return Renderer(self._network(renderer), background, settings.coarse_samples, settings.fine_samples)

    def _renderer_before(self, recipe: Recipe) -> ShapERenderer:
        """The renderer with this recipe's background, where it has one."""
        renderer, color = self.renderer(), recipe.render.background
        if color is not None:
            with torch.no_grad():
                renderer.void.get_buffer("background").copy_(torch.tensor(color, dtype=torch.float32) / 255)
        return renderer

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


def _of_files(files: ModelFiles, configs: dict[str, dict[str, Any]]) -> ShapE:
    return ShapE(
        source=files.source,
        digest=files.digest,
        trained=True,
        configs=configs,
        tokenizer_folder=files.parts["tokenizer"].folder,
        fill_part=lambda module, part: fill(module, files.parts[part].checkpoint()),
        files=files.files,
        notes=files.notes,
    )


def _refuse(why: str, **settings: str | None) -> None:
    for name, value in settings.items():
        if value is not None:
            raise RecipeError(f"model.{name}: {value!r} is given, and {why}; leave this field out")


def _random(weights: str) -> ShapE:
    _, size, *rest = weights.split(":")
    if size not in RANDOM_SIZES:
        raise WeightsError(f"weights {weights!r}: no size {size!r}; {did_you_mean(size, RANDOM_SIZES)}")
    if len(rest) > 1 or not all(part.isdecimal() for part in rest):
        raise WeightsError(f"weights {weights!r}: the seed must be one whole number, as in 'random:{size}:7'")
    seed = int(rest[0]) if rest else 0
    mini = find_parts("shap-e-mini", ZOO_MODELS, NEEDED)
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
    identity = json.dumps([size, seed, configs, FIRST_GAIN, HIDDEN_GAIN], sort_keys=True).encode()
    return ShapE(
        source=weights,
        digest=hashlib.sha256(identity).hexdigest(),
        trained=False,
        configs=configs,
        tokenizer_folder=mini.parts["tokenizer"].folder,
        fill_part=lambda module, part: fill_random_part(module, seed * len(PARTS) + PARTS.index(part)),
    )


def _stressed(weights: str, plain: ShapE, factor: float) -> ShapE:
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
        files=plain.weights_files,
        notes=plain.weights_notes,
    )


def _shaped(weights: str, plain: ShapE, shape: str) -> ShapE:
    field = shaped.ShapedField(shape)

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
        files=plain.weights_files,
        notes=plain.weights_notes,
    )


def _read_configs(files: ModelFiles) -> dict[str, dict[str, Any]]:
    names = {part: "scheduler_config.json" if part == "scheduler" else "config.json" for part in PARTS}
    return {part: files.parts[part].json(name) for part, name in names.items() if part != "tokenizer"}


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
