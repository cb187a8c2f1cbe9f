"""Inputs of the big stages as the original sees them on real prompts: what ranges are taken from.

Each shard is a `.npz` of one stage's inputs and the `prompts` they belong to.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from exporter.errors import RecipeError
from exporter.families.family import Model
from exporter.families.part_files import ZOO
from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.sampling import NOISE, PREVIOUS_PREDICTION, PREVIOUS_SAMPLE, SAMPLE, STEP
from exporter.recipe.quantization_section import CalibrationSection
from exporter.recipe.recipe import Recipe
from exporter.recipe.sampler_section import SamplerSection
from exporter.runtime.batch import batch_size
from exporter.runtime.run import Arrays, OnStep, in_own_units, make, requests_of
from exporter.sampling.table import CoefficientTable, table_of
from exporter.workshop.places import many_places

OnEvaluation = Callable[[int, int], None]

PROMPTS = ZOO / "prompts.json"
ENCODED_PROMPTS = 32


def record(model: Model, recipe: Recipe, folder: Path, on_evaluation: OnEvaluation) -> None:
    """Write `<stage>_<k>.npz` for every stage of kind encode, sample or map, and of kind field or render for those that
    take nothing of an object.

    A sampler's come from the original's own trajectories of `calibration.steps` Euler steps (the recipe's sampler,
    where it has no more): they cross all noise levels at little cost. `calibration.evaluations` of each are kept,
    evenly spread, each at the row of the recipe's table whose timestep is nearest, with the sample rescaled so that the
    network sees what it saw. The samples before are zeros: they never reach the network.

    Encoders, which cost little, get 32 of the shipped prompts where fewer trajectories are asked for: of what they see
    of a prompt most is padding.

    A shard holds at most `calibration.batch` prompts, fewer where latents are large; prompt k has the noise of the
    calibration's seed + k, whatever the batch. `on_evaluation(done, total)` gets every evaluation of a network.
    Raises RecipeError where more prompts are asked for than there are. Warns of a single prompt.
    """
    settings = recipe.quantization.calibration
    recorder = _Recorder(model, recipe, folder)
    prompts = objects_of(recorder.original.pipeline, recipe)
    if len(prompts) == 1 and recorder.original.pipeline.inputs:
        warnings.warn(
            "calibration on one prompt: the ranges fit that object; give quantization.calibration.prompts 8 or more",
            stacklevel=2,
        )
    size = min(settings.batch, batch_size(recorder.original.pipeline))
    total = -(-len(prompts) // size) * recorder.evaluations
    for number, start in enumerate(range(0, len(prompts), size)):
        seeds = [settings.seed + i for i in range(start, min(start + size, len(prompts)))]
        report = partial(_add, lambda done: on_evaluation(done, total), number * recorder.evaluations)
        recorder.record(number, prompts[start : start + size], seeds, report)
    recorder.record_places()
    if recorder.original.pipeline.pictures or not recorder.original.pipeline.inputs:
        return
    if more := [prompt for prompt in _encoded_prompts(settings) if prompt not in prompts]:
        recorder.record_encoders(number + 1, more)


def uncalibrated(pipeline: Pipeline) -> list[str]:
    """The stages whose inputs are not recorded: those evaluated at places of an object that they take too."""
    return [name for name in pipeline.of_kind("field", "render") if pipeline.stages[name].takes]


def objects_of(pipeline: Pipeline, recipe: Recipe) -> list[str]:
    """What a pipeline is calibrated on: prompts, pictures of the recipe's, or the one object that it makes of nothing.

    Raises RecipeError as `choose_prompts`.
    """
    settings = recipe.quantization.calibration
    if not pipeline.inputs:
        return [recipe.name]
    if pipeline.pictures and isinstance(settings.prompts, int):
        return recipe.goldens.prompts
    return choose_prompts(settings)


def choose_prompts(settings: CalibrationSection) -> list[str]:
    """The settings' own prompts, or as many of the shipped ones, drawn with the settings' seed.

    One in four is under-specified. They come from the last quarter of the shipped set; validation starts at the first.
    Raises RecipeError where there are fewer.
    """
    if not isinstance(settings.prompts, int):
        return list(settings.prompts)
    return _draw_prompts(settings.prompts, settings.seed)


def _encoded_prompts(settings: CalibrationSection) -> list[str]:
    """What encoders are calibrated on."""
    if not isinstance(settings.prompts, int):
        return list(settings.prompts)
    return _draw_prompts(max(settings.prompts, ENCODED_PROMPTS), settings.seed)


def _draw_prompts(number: int, seed: int) -> list[str]:
    shipped = json.loads(PROMPTS.read_text(encoding="utf-8"))
    under = number // 4
    draw = np.random.default_rng(seed)
    chosen: list[str] = []
    for kind, count in (("full", number - under), ("under_specified", under)):
        captions = [entry["text"] for entry in shipped[kind]]
        last = captions[-(len(captions) // 4) :]
        if count > len(last):
            raise RecipeError(
                f"quantization.calibration.prompts: {number} needs {count} {kind} prompts, and "
                f"{len(last)} are set apart for calibration; ask for fewer, or list your own"
            )
        chosen += [last[i] for i in draw.permutation(len(last))[:count]]
    return [chosen[i] for i in draw.permutation(len(chosen))]


def _shortened(sampler: SamplerSection, steps: int) -> SamplerSection:
    """At most so many steps, of Euler's method where they are fewer than the sampler's: solvers of higher order
    overshoot in few steps, to samples that the recipe's sampler never comes to."""
    if steps >= sampler.steps:
        return sampler
    euler = "flow_euler" if sampler.scheduler == "flow_euler" else "euler"
    return sampler.model_copy(update={"scheduler": euler, "steps": steps, "churn": None})


class _Recorder:
    """Runs the original and writes shards, one batch of prompts after the other."""

    def __init__(self, model: Model, recipe: Recipe, folder: Path) -> None:
        self.settings = recipe.quantization.calibration
        self.original = model.original(recipe.with_samplers(partial(_shortened, steps=self.settings.steps)))
        self.trajectories = {
            stage: _Trajectory(
                table_of(self.original.recipe.sampler_of(stage), own),
                table_of(recipe.sampler_of(stage), own),
                self.settings.evaluations,
            )
            for stage in self.original.pipeline.of_kind("sample")
            for own in [model.scheduler(stage)]
        }
        self.folder = folder
        self.folder_of_pictures = recipe.folder

    @property
    def evaluations(self) -> int:
        """Evaluations of all networks for one batch."""
        return sum(trajectory.table.evaluations for trajectory in self.trajectories.values())

    def record(self, number: int, prompts: list[str], seeds: list[int], report: Callable[[int], None]) -> None:
        """The shards of batch `number`, each prompt from the noise of its seed; `report(i)` after evaluation i."""
        original = self.original
        run = make(original, requests_of(original.pipeline, prompts, self.folder_of_pictures), seeds)
        done = 0
        for name, stage in original.pipeline.stages.items():
            if stage.kind in ("encode", "map"):
                self._save(name, number, prompts, run.taken_by(name))
            if stage.kind == "sample":
                run.on_step = self._keeper(name, number, prompts, run.taken_by(name), partial(_add, report, done))
                run[stage.makes[0].name]
                done += self.trajectories[name].table.evaluations

    def record_places(self) -> None:
        """The shards of fields and renderers that take nothing of an object."""
        pipeline = self.original.pipeline
        for name in pipeline.of_kind("field", "render"):
            stage = pipeline.stages[name]
            if not stage.takes:
                places = many_places(stage.kind, self.settings.batch, self.settings.seed)
                self._save(name, 0, [], {stage.evaluated_at.name: in_own_units(pipeline, name, places)})

    def record_encoders(self, number: int, prompts: list[str]) -> None:
        """The encoders' shards of prompts."""
        pipeline = self.original.pipeline
        run = make(self.original, requests_of(pipeline, prompts), [])
        for name in pipeline.of_kind("encode"):
            self._save(name, number, prompts, run.taken_by(name))

    def _keeper(
        self, stage: str, number: int, prompts: list[str], taken: Arrays, report: Callable[[int], None]
    ) -> OnStep:
        """What saves the evaluations of a trajectory that are kept."""
        trajectory = self.trajectories[stage]

        def keep(i: int, sample: np.ndarray, prediction: np.ndarray) -> None:
            if i in trajectory.kept:
                index = number * len(trajectory.kept) + trajectory.kept.index(i)
                self._save(stage, index, prompts, trajectory.inputs(i, sample) | taken)
            report(i + 1)

        return keep

    def _save(self, stage: str, index: int, prompts: list[str], arrays: Arrays) -> None:
        path = self.folder / f"{stage}_{index:04d}.npz"
        np.savez_compressed(path, allow_pickle=False, prompts=np.array(prompts), **arrays)


def _add(report: Callable[[int], None], before: int, done: int) -> None:
    report(before + done)


class _Trajectory:
    """Which evaluations of a short trajectory are kept, and what each is as an evaluation of the recipe's."""

    def __init__(self, table: CoefficientTable, of_recipe: CoefficientTable, evaluations: int) -> None:
        self.table, self.of_recipe = table, of_recipe
        last = table.evaluations - 1
        self.kept = np.linspace(0, last, min(evaluations, last + 1)).round().astype(int).tolist()

    def inputs(self, i: int, sample: np.ndarray) -> Arrays:
        """What the recipe's step takes where this one is evaluation i, its conditions left out."""
        step = int(np.abs(self.of_recipe.timesteps - self.table.timesteps[i]).argmin())
        ratio = self.table.input_scale[i] / self.of_recipe.input_scale[step]
        zeros = np.zeros_like(sample)
        return {
            SAMPLE: sample * np.float32(ratio),
            PREVIOUS_SAMPLE: zeros,
            PREVIOUS_PREDICTION: zeros,
            STEP: np.array(step, np.int64),
            # What is added to the next sample reaches no layer.
            **({NOISE: zeros} if self.of_recipe.has_churn else {}),
        }
