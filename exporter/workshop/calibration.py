"""Inputs of the big stages as the PyTorch reference sees them on real prompts: what ranges are taken from.

Each shard is a `.npz` of one stage's inputs and the `prompts` they belong to.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exporter.errors import RecipeError
from exporter.families.family import LoadedModel
from exporter.families.weights import ZOO
from exporter.recipe.recipe import CalibrationSection, Recipe, SamplerSection
from exporter.runtime.batch import batch_size
from exporter.runtime.inputs.noise import object_seeds, unit_noise
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.sampling.schedulers import schedule_of
from exporter.sampling.table import CoefficientTable, probe

Arrays = dict[str, np.ndarray]
OnEvaluation = Callable[[int, int], None]

PROMPTS = ZOO / "prompts.json"
TEXT_PROMPTS = 32


def record(
    model: LoadedModel, recipe: Recipe, settings: CalibrationSection, folder: Path, on_evaluation: OnEvaluation
) -> None:
    """Write `<stage>_<k>.npz` for text_encoder, denoiser and, where the model has one, projector.

    The denoiser's come from the reference's own trajectories of `settings.steps` Euler steps (the recipe's sampler,
    where it has no more): they cross all noise levels at little cost. `settings.evaluations` of each are kept, evenly
    spread, each at the row of the recipe's table whose timestep is nearest, with the sample rescaled so that the
    network sees what it saw. The samples before are zeros: they never reach the network. The projector's are where the
    trajectories end.

    The text encoder, which costs little, gets 32 of the shipped prompts where fewer trajectories are asked for: of
    what it sees of a prompt most is padding.

    A shard holds at most `settings.batch` prompts, fewer where latents are large; a prompt's noise is its own, whatever
    the batch. `on_evaluation(done, total)` is told of every evaluation of the network.
    Raises RecipeError where more prompts are asked for than there are. Warns of a single prompt.
    """
    prompts = choose_prompts(settings)
    if len(prompts) == 1:
        warnings.warn(
            "calibration on one prompt: the ranges fit that object; give quantization.calibration.prompts 8 or more",
            stacklevel=2,
        )
    recorder = _Recorder(model, recipe, settings, folder)
    size = min(settings.batch, batch_size(model.latent_shape))
    total = -(-len(prompts) // size) * recorder.table.evaluations
    seeds = object_seeds(settings.seed, len(prompts))
    for number, start in enumerate(range(0, len(prompts), size)):

        def told(i: int, before: int = number * recorder.table.evaluations) -> None:
            on_evaluation(before + i, total)

        recorder.record(number, prompts[start : start + size], seeds[start : start + size], told)
    if more := [prompt for prompt in _text_prompts(settings) if prompt not in prompts]:
        recorder.record_text(number + 1, more)


def choose_prompts(settings: CalibrationSection) -> list[str]:
    """The settings' own prompts, or as many of the shipped ones, drawn with the settings' seed.

    One in four is under-specified. They come from the last quarter of the shipped set; validation starts at the first.
    Raises RecipeError where there are not so many.
    """
    if not isinstance(settings.prompts, int):
        return list(settings.prompts)
    return _draw_prompts(settings.prompts, settings.seed)


def _text_prompts(settings: CalibrationSection) -> list[str]:
    """What the text encoder is calibrated on."""
    if not isinstance(settings.prompts, int):
        return list(settings.prompts)
    return _draw_prompts(max(settings.prompts, TEXT_PROMPTS), settings.seed)


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


class _Recorder:
    """Runs the reference and writes shards, one batch of prompts after the other."""

    def __init__(self, model: LoadedModel, recipe: Recipe, settings: CalibrationSection, folder: Path) -> None:
        sampler = recipe.sampler
        if settings.steps < sampler.steps:
            # Solvers of higher order overshoot in few steps, to samples that the recipe's sampler never comes to.
            euler = "flow_euler" if sampler.scheduler == "flow_euler" else "euler"
            sampler = sampler.model_copy(update={"scheduler": euler, "steps": settings.steps})
        self.table, self.recipe_table = _table(model, sampler), _table(model, recipe.sampler)
        self.reference = model.reference(sampler, recipe.render)
        self.tokenizer = PromptTokenizer(model.tokenizer.json, model.tokenizer.context_length, model.tokenizer.pad_id)
        self.has_projector = "projector" in model.stages(recipe.render)
        self.folder = folder
        last = self.table.evaluations - 1
        self.kept = np.linspace(0, last, min(settings.evaluations, last + 1)).round().astype(int).tolist()

    def record(self, number: int, prompts: list[str], seeds: list[int], told: Callable[[int], None]) -> None:
        """The shards of batch `number`, each prompt from the noise of its seed; `told(i)` after evaluation i."""
        embedding = self.reference.encode(prompts)
        self.record_text(number, prompts)

        def keep(i: int, sample: np.ndarray, prediction: np.ndarray) -> None:
            if i in self.kept:
                index = number * len(self.kept) + self.kept.index(i)
                self._save("denoiser", index, prompts, self._step_inputs(i, sample) | {"embedding": embedding})
            told(i + 1)

        unit = unit_noise(seeds, self.reference.latent_shape)
        latents = self.reference.sample(embedding, unit, keep)
        if self.has_projector:
            self._save("projector", number, prompts, {"latents": latents})

    def record_text(self, number: int, prompts: list[str]) -> None:
        """The text encoder's shard of prompts."""
        self._save("text_encoder", number, prompts, {"input_ids": self.tokenizer.encode(prompts)})

    def _step_inputs(self, i: int, sample: np.ndarray) -> Arrays:
        """Evaluation i of the short trajectory as an evaluation of the recipe's."""
        step = int(np.abs(self.recipe_table.timesteps - self.table.timesteps[i]).argmin())
        ratio = self.table.input_scale[i] / self.recipe_table.input_scale[step]
        zeros = np.zeros_like(sample)
        return {
            "sample": sample * np.float32(ratio),
            "previous_sample": zeros,
            "previous_prediction": zeros,
            "step": np.array(step, np.int64),
        }

    def _save(self, stage: str, index: int, prompts: list[str], arrays: Arrays) -> None:
        path = self.folder / f"{stage}_{index:04d}.npz"
        np.savez_compressed(path, allow_pickle=False, prompts=np.array(prompts), **arrays)


def _table(model: LoadedModel, sampler: SamplerSection) -> CoefficientTable:
    return probe(schedule_of(sampler, model.scheduler()), sampler.steps, sampler.clamp)
