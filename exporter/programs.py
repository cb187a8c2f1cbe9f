"""The programs of a bundle, each as the chain of transformations that makes it from the model's stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from exporter.backends.registry import Compile
from exporter.families.base import LoadedModel, StageMaker
from exporter.quantize.dynamic import quantize
from exporter.recipe import Recipe
from exporter.sampling.loop import loop
from exporter.sampling.schedulers import clip_range, make_scheduler
from exporter.sampling.step import SamplerStep, step_stage
from exporter.sampling.table import CoefficientTable, probe
from exporter.sampling.unrolled import unrolled
from exporter.stage import Stage, TensorSpec
from exporter.trace.onnx import PROGRAM, trace

SPECS = "specs.json"
DEFAULT_OPSET = 23


@dataclass(frozen=True)
class Transform:
    """One cached step: `run(folder of the step before, folder to write)`; `inputs` are the settings it depends on."""

    step: str
    inputs: dict[str, Any]
    run: Callable[[Path | None, Path], object]


@dataclass(frozen=True)
class Program:
    """One program: the stage it is made from, its precision and, for a whole sampler, how it is unrolled."""

    name: str
    make_stage: StageMaker
    settings: dict[str, Any]
    precision: Literal["fp32", "int8"]
    unroll: Literal["step", "loop", "full"] = "step"
    evaluations: int = 1

    def transforms(self, opset: int | None, compile_program: Compile) -> Iterator[Transform]:
        """trace, then quantize and unroll where the recipe says so, then compile."""
        version = opset or DEFAULT_OPSET
        yield Transform("trace", self.settings | {"opset": version}, lambda _, folder: self._trace(version, folder))
        if self.precision == "int8":
            yield Transform("quantize", {"method": "dynamic_int8"}, self._quantize)
        if self.unroll != "step":
            yield Transform("unroll", {"unroll": self.unroll, "evaluations": self.evaluations}, self._unroll)
        yield Transform(
            "compile", {"precision": self.precision}, lambda before, to: self._compile(compile_program, before, to)
        )

    def files(self, folder: Path) -> list[str]:
        """Names of all files that go into the bundle."""
        return sorted(path.name for path in folder.iterdir() if path.name.startswith(PROGRAM))

    def inputs(self, folder: Path) -> list[TensorSpec]:
        return _read_specs(folder)[0]

    def outputs(self, folder: Path) -> list[TensorSpec]:
        return _read_specs(folder)[1]

    def _trace(self, opset: int, folder: Path) -> None:
        stage = self.make_stage()
        trace(stage, opset, folder)
        _write_specs(folder, stage.inputs, stage.outputs)

    def _quantize(self, before: Path | None, folder: Path) -> None:
        assert before is not None
        quantize(before / PROGRAM, folder)
        _write_specs(folder, *_read_specs(before))

    def _unroll(self, before: Path | None, folder: Path) -> None:
        assert before is not None
        unroll = loop if self.unroll == "loop" else unrolled
        unroll(before / PROGRAM, self.evaluations, folder)
        inputs, _ = _read_specs(before)
        taken = [spec for spec in inputs if spec.name in ("sample", "embedding")]
        latents = next(spec for spec in inputs if spec.name == "sample")
        _write_specs(folder, taken, [TensorSpec("latents", latents.dtype, latents.shape)])

    def _compile(self, compile_program: Compile, before: Path | None, folder: Path) -> None:
        assert before is not None
        compile_program(before / PROGRAM, self.precision, folder)
        _write_specs(folder, *_read_specs(before))


def sampler_table(model: LoadedModel, recipe: Recipe) -> CoefficientTable:
    """The coefficient table of the recipe's scheduler on the model's own noise levels."""
    settings = recipe.sampler
    return probe(make_scheduler(settings.scheduler, model.scheduler(), settings.clamp), settings.steps, settings.clamp)


def make_programs(model: LoadedModel, recipe: Recipe, table: CoefficientTable) -> list[Program]:
    """The programs of a bundle in the order in which they run."""
    sampler, render = recipe.sampler, recipe.render.model_dump(include={"coarse_samples", "fine_samples"})
    name = "denoiser" if sampler.unroll == "step" else "sampler"
    stages = model.stages(recipe.render)
    settings = sampler.model_dump(exclude={"unroll"})
    programs = {
        stage: Program(stage, make, {"render": render} if stage == "renderer" else {}, recipe.stage_precision(stage))
        for stage, make in stages.items()
    }
    own = Program(
        name,
        lambda: _step_stage(model, recipe, table),
        {"sampler": settings},
        recipe.stage_precision(name),
        sampler.unroll,
        table.evaluations,
    )
    first, *rest = programs.values()
    return [first, own, *rest]


def _step_stage(model: LoadedModel, recipe: Recipe, table: CoefficientTable) -> Stage:
    clamp = clip_range(model.scheduler()) if recipe.sampler.clamp == "openai" else None
    module = SamplerStep(model.denoiser(), table, recipe.sampler.guidance_scale, clamp)
    return step_stage(module.eval(), model.latent_shape, model.embedding_width)


def _write_specs(folder: Path, inputs: Any, outputs: Any) -> None:
    data = {"inputs": [s.to_dict() for s in inputs], "outputs": [s.to_dict() for s in outputs]}
    (folder / SPECS).write_text(json.dumps(data, sort_keys=True), encoding="utf-8")


def _read_specs(folder: Path) -> tuple[list[TensorSpec], list[TensorSpec]]:
    data = json.loads((folder / SPECS).read_text(encoding="utf-8"))
    read = {side: [TensorSpec(s["name"], s["dtype"], tuple(s["shape"])) for s in data[side]] for side in data}
    return read["inputs"], read["outputs"]
