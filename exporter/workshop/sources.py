"""What the programs of a bundle are made from, whatever the backend: stages, their settings and quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter.families.family import LoadedModel, StageMaker
from exporter.files.cache import Entry
from exporter.pipeline.stage import Stage
from exporter.quantize.steps import Quantization
from exporter.recipe.recipe import Recipe
from exporter.sampling.schedulers import clip_range
from exporter.sampling.step import SamplerStep, step_stage
from exporter.sampling.table import CoefficientTable


@dataclass(frozen=True)
class Source:
    """One program's stage and how it is quantized. `settings`: what the stage depends on besides the weights.

    `name`: the program's; a sampler that is unrolled or a loop is made from the step, the stage 'denoiser'.
    """

    name: str
    make_stage: StageMaker
    settings: dict[str, Any]
    quantization: Quantization

    @property
    def is_step(self) -> bool:
        """Whether the stage is one evaluation of the sampler."""
        return self.quantization.stage == "denoiser"


def program_sources(
    model: LoadedModel, recipe: Recipe, table: CoefficientTable, calibration: Entry | None
) -> list[Source]:
    """The sources of a bundle's programs in the order in which they run.

    `calibration`: the recorded inputs that quantization takes its ranges from, where the recipe needs any.
    """
    sampler, render = recipe.sampler, recipe.render.model_dump(include={"coarse_samples", "fine_samples"})

    def source(name: str, make: StageMaker, settings: dict[str, Any], stage: str) -> Source:
        return Source(
            name, make, settings, Quantization(stage, recipe.quantization, calibration, sampler.guidance_scale)
        )

    first, *rest = [
        source(stage, make, {"render": render} if stage == "renderer" else {}, stage)
        for stage, make in model.stages(recipe.render).items()
    ]
    own = source(
        "denoiser" if sampler.unroll == "step" else "sampler",
        lambda: _step_stage(model, recipe, table),
        {"sampler": sampler.model_dump(exclude={"unroll"})},
        "denoiser",
    )
    return [first, own, *rest]


def _step_stage(model: LoadedModel, recipe: Recipe, table: CoefficientTable) -> Stage:
    clamp = clip_range(model.scheduler()) if recipe.sampler.clamp == "openai" else None
    sampler = recipe.sampler
    module = SamplerStep(
        model.denoiser(), table, sampler.guidance_scale, clamp, sampler.guidance_interval, len(model.latent_shape)
    )
    return step_stage(module.eval(), model.latent_shape, model.embedding_width)
