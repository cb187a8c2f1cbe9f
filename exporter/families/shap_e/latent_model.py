"""What the models of Shap-E share, whatever they are conditioned on: prior, projector, field and renderer."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, TypeVar

import torch
from diffusers import HeunDiscreteScheduler, PriorTransformer
from diffusers.pipelines.shap_e.renderer import ShapERenderer

from exporter.errors import RecipeError, WeightsError, did_you_mean
from exporter.families import known_shapes, stress
from exporter.families.family import Model, ModuleMaker
from exporter.families.part_files import WeightsFile
from exporter.families.shap_e import shaped
from exporter.families.shap_e.modules import FieldNetwork, PriorDenoiser, Projector, ShapEField, output_name
from exporter.families.shap_e.renderer import Renderer
from exporter.families.weights import without_initialisation
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.inputs import Input
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe

FillPart = Callable[[torch.nn.Module, str], None]
AnyLatentModel = TypeVar("AnyLatentModel", bound="LatentModel")


class LatentModel(Model):
    """Configurations by part and a way to fill the parts; a part is built when a stage or the original needs it."""

    def __init__(
        self,
        *,
        source: str,
        digest: str,
        trained: bool,
        configs: dict[str, dict[str, Any]],
        fill_part: FillPart,
        files: tuple[WeightsFile, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        self.weights_source = source
        self.weights_digest = digest
        self.trained = trained
        self.weights_files, self.weights_notes = files, notes
        self.configs = configs
        self.fill_part = fill_part
        self.device = torch.device("cpu")
        _require_prior_of_latents(configs["prior"], source)

    @abstractmethod
    def inputs(self, recipe: Recipe) -> Mapping[str, Input]:
        """What is taken from outside."""

    @abstractmethod
    def encoders(self) -> dict[str, PipelineStage]:
        """The stage that makes the prior's condition of it, by its name."""

    @abstractmethod
    def encoder_modules(self) -> dict[str, ModuleMaker]:
        """What makes the module of that stage."""

    def unfilled(self: AnyLatentModel) -> AnyLatentModel:
        """The same modules on the meta device: made in milliseconds, without a number in them."""
        bare = copy(self)
        bare.device = torch.device("meta")
        bare.fill_part = lambda module, part: None
        return bare

    def changed(
        self: AnyLatentModel, source: str, *, digest_of: str, trained: bool, change: FillPart
    ) -> AnyLatentModel:
        """The same model under another name, each part changed after it was filled."""
        fill_part, other = self.fill_part, copy(self)

        def fill_and_change(module: torch.nn.Module, part: str) -> None:
            fill_part(module, part)
            change(module, part)

        other.weights_source = source
        other.weights_digest = hashlib.sha256(digest_of.encode()).hexdigest()
        other.trained = trained
        other.fill_part = fill_and_change
        return other

    def pipeline(self, recipe: Recipe) -> Pipeline:
        prior, encoders = self.configs["prior"], self.encoders()
        conditions = [spec for stage in encoders.values() for spec in stage.outputs]
        latents = tensor("latents", prior["num_embeddings"], prior["embedding_dim"])
        weights = self._weight_specs()
        volume = Volume(distance="signed_distance", density="density", color="color")
        outputs = [tensor(volume.distance, "points", 1), tensor(volume.density, "points", 1)]
        outputs.append(tensor(volume.color, "points", 3))
        return Pipeline(
            inputs=dict(self.inputs(recipe)),
            stages=encoders
            | {
                "denoiser": PipelineStage(kind="sample", inputs=conditions, outputs=[latents]),
                "projector": PipelineStage(kind="map", inputs=[latents], outputs=weights),
                "field": PipelineStage(
                    kind="field", inputs=[tensor("points", "points", 3), *weights], outputs=outputs, volume=volume
                ),
                "renderer": PipelineStage(
                    kind="render",
                    inputs=[tensor("rays", "rays", 2, 3), *weights],
                    outputs=[tensor("color", "rays", 3)],
                ),
            },
            assets={
                "mesh": MeshAsset(stage="field", **recipe.mesh.model_dump()),
                "image": ImageAsset(stage="renderer", size=recipe.render.size),
            },
        )

    def modules(self, recipe: Recipe) -> dict[str, ModuleMaker]:
        return self.encoder_modules() | {
            "denoiser": lambda: PriorDenoiser(self.prior()),
            "projector": lambda: Projector(self.renderer().params_proj),
            "field": lambda: ShapEField(self._network(self.renderer())),
            "renderer": lambda: self._renderer_module(recipe),
        }

    def scheduler(self, stage: str) -> HeunDiscreteScheduler:
        return HeunDiscreteScheduler.from_config(self.configs["scheduler"])

    def prior(self) -> PriorTransformer:
        """diffusers' prior with these weights."""
        return self._build(PriorTransformer.from_config, "prior")

    def renderer(self) -> ShapERenderer:
        """diffusers' renderer, latent projection included, with these weights."""
        return self._build(ShapERenderer.from_config, "shap_e_renderer")

    def _renderer_module(self, recipe: Recipe) -> Renderer:
        renderer, settings = self.renderer_before(recipe), recipe.render
        background = renderer.void.get_buffer("background")
        return Renderer(self._network(renderer), background, settings.coarse_samples, settings.fine_samples)

    def renderer_before(self, recipe: Recipe) -> ShapERenderer:
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
        return [tensor(output_name(name), *shape) for name, shape in named]

    def _build(self, make: Callable[[dict[str, Any]], Any], part: str) -> Any:
        with without_initialisation(), self.device:
            module = make(self.configs[part])
        self.fill_part(module, part)
        return module.float().eval().requires_grad_(False)


def changed_weights(weights: str, load: Callable[[str], AnyLatentModel]) -> AnyLatentModel | None:
    """The model of 'stress:WEIGHTS[:factor]' or 'shaped:WEIGHTS[:shape]', none for other weights."""
    if stress.is_synthetic(weights):
        inner, factor = stress.split_name(weights)
        plain = load(inner)

        def give_outliers(module: torch.nn.Module, part: str) -> None:
            if part == "prior":
                stress.inject_outliers(module, factor)

        digest = f"{stress.PREFIX}{plain.weights_digest}:{factor}"
        return plain.changed(weights, digest_of=digest, trained=plain.trained, change=give_outliers)
    if known_shapes.is_shaped(weights):
        inner, shape = known_shapes.split_name(weights)
        plain, field = load(inner), shaped.ShapedField(shape)

        def give_shape(module: torch.nn.Module, part: str) -> None:
            if isinstance(module, ShapERenderer):
                field.give(module)

        digest = f"{known_shapes.PREFIX}{plain.weights_digest}:{shape}"
        return plain.changed(weights, digest_of=digest, trained=False, change=give_shape)
    return None


def refuse_settings(why: str, **settings: str | None) -> None:
    """Raises RecipeError for settings of a recipe's model section that these weights have no use for."""
    for name, value in settings.items():
        if value is not None:
            raise RecipeError(f"model.{name}: {value!r} is given, and {why}; leave this field out")


def random_name(weights: str, sizes: list[str]) -> tuple[str, int]:
    """'random:SIZE[:SEED]' to its size and seed. Raises WeightsError for another size, or no whole number."""
    _, size, *rest = weights.split(":")
    if size not in sizes:
        raise WeightsError(f"weights {weights!r}: no size {size!r}; {did_you_mean(size, sizes)}")
    if len(rest) > 1 or not all(part.isdecimal() for part in rest):
        raise WeightsError(f"weights {weights!r}: the seed must be one whole number, as in 'random:{size}:7'")
    return size, int(rest[0]) if rest else 0


def tensor(name: str, *shape: int | str) -> TensorSpec:
    """float32 [batch, *shape]."""
    return TensorSpec(name, "float32", ("batch", *shape))


def _require_prior_of_latents(prior: dict[str, Any], source: str) -> None:
    """Only a prior of Shap-E: its condition in, every token of the latent out."""
    for key, wanted in (("added_emb_type", None), ("encoder_hid_proj_type", None)):
        if prior.get(key, "default") != wanted:
            raise WeightsError(
                f"weights {source!r}: prior/config.json has {key} {prior.get(key)!r}, Shap-E has {wanted!r}; "
                "this is another model's prior"
            )
