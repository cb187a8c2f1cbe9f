"""What the programs of a bundle are made from, whatever the backend: modules, their settings and quantization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from exporter.errors import RecipeError
from exporter.families.family import Model
from exporter.files.cache import Entry
from exporter.pipeline.pipeline import PipelineStage
from exporter.pipeline.pure_module import PureModule
from exporter.quantize.steps import Quantization
from exporter.recipe.recipe import Recipe
from exporter.recipe.sampler_section import SamplerSection
from exporter.sampling.denoiser import Denoiser
from exporter.sampling.schedulers import clip_range
from exporter.sampling.step import SamplerStep, step_module
from exporter.sampling.table import CoefficientTable

Tables = Mapping[str, CoefficientTable]


@dataclass(frozen=True)
class Source:
    """One program's stage and how it is quantized. `settings`: what the stage depends on besides the weights.

    Of a stage of kind sample it is one evaluation, from which an unrolled or looping program is made.
    """

    name: str
    stage: PipelineStage
    make_module: Callable[[], PureModule]
    settings: dict[str, Any]
    quantization: Quantization

    @property
    def is_step(self) -> bool:
        """Whether the module is one evaluation of a sampler."""
        return self.stage.kind == "sample"


def program_sources(model: Model, recipe: Recipe, tables: Tables, calibration: Entry | None) -> list[Source]:
    """The sources of a bundle's programs in the order in which they run.

    `tables`: of the stages of kind sample. `calibration`: the recorded inputs that quantization takes its ranges from,
    where the recipe needs any.
    """
    sources = []
    for name, stage in model.pipeline(recipe).stages.items():
        scale = recipe.sampler_of(name).guidance_scale if stage.kind == "sample" else None
        sources.append(
            Source(
                name,
                stage,
                partial(_pure_module, name, stage, model, recipe, tables),
                stage_settings(name, stage, recipe),
                Quantization(name, recipe.quantization, calibration, scale),
            )
        )
    return sources


def stage_settings(name: str, stage: PipelineStage, recipe: Recipe) -> dict[str, Any]:
    """The parts of a recipe that a stage's program depends on."""
    if stage.kind == "sample":
        return {"sampler": recipe.sampler_of(name).model_dump(exclude={"unroll"})}
    if stage.kind == "render":
        return {"render": recipe.render.model_dump(exclude={"size"})}
    return {}


def _pure_module(name: str, stage: PipelineStage, model: Model, recipe: Recipe, tables: Tables) -> PureModule:
    module = model.modules(recipe)[name]()
    if not isinstance(module, Denoiser):
        return PureModule(name, module, tuple(stage.inputs), tuple(stage.outputs))
    sampler, latents = recipe.sampler_of(name), stage.makes[0]
    clamp = clip_range(model.scheduler(name)) if sampler.clamp == "openai" else None
    rank = len(latents.shape) - 1
    _require_zeros_for_none(name, module, sampler)
    step = SamplerStep(
        module, tables[name], sampler.guidance_scale, clamp, sampler.guidance_interval, rank, sampler.conditions
    )
    conditions = stage.model_copy(update={"conditions": sampler.conditions}).all_conditions
    return step_module(name, step.eval(), conditions, latents)


def _require_zeros_for_none(name: str, denoiser: Denoiser, sampler: SamplerSection) -> None:
    """Raises RecipeError where hosts, which give zeros for a negative prompt that nobody wrote, would give another
    absence of a prompt than the network's own."""
    replaced = [other for other, schedule in sampler.conditions.items() if schedule.replaces == "none"]
    if replaced and type(denoiser).unconditional is not Denoiser.unconditional:
        raise RecipeError(
            f"sampler.conditions.{replaced[0]}: what stands for no prompt in stage '{name}' are not zeros, so that "
            "nothing can stand in their place; leave it out"
        )
