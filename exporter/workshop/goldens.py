"""Goldens: what the original takes and gives, stage by stage, on real prompts; and programs checked against them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exporter.errors import ValidationFailed
from exporter.files.recorded import recorded_of
from exporter.pipeline.pipeline import EVALUATED, Pipeline
from exporter.pipeline.sampling import (
    NEXT_SAMPLE,
    NOISE,
    PREDICTION,
    PREVIOUS_PREDICTION,
    PREVIOUS_SAMPLE,
    SAMPLE,
    STEP,
)
from exporter.recipe.recipe import GoldensSection, Recipe
from exporter.recipe.validation_section import Tolerances
from exporter.runtime.inputs.picture import PictureReader
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.runtime.run import Arrays, Draws, Request, Run, in_own_units, make, requests_of
from exporter.runtime.sampler_loop import noise_of_all
from exporter.runtime.sessions.session import Session
from exporter.workshop.parity import Parity, compare
from exporter.workshop.places import many_places

if TYPE_CHECKING:
    from exporter.families.family import Model
    from exporter.families.original import Original

OnEvaluation = Callable[[int, int], None]
# The sample that goes into an evaluation, and the guided prediction made of it.
Seen = tuple[np.ndarray, np.ndarray]

GOLDENS = "goldens"
TRAJECTORY_ELEMENTS = 2**23
FILE_ELEMENTS = 2**18
EVALUATIONS_KEPT = 6
# Floats are resized by sums that PyTorch rounds in another way on each kind of processor.
ROUNDING = 1e-6


@dataclass(frozen=True)
class GoldenParity:
    """One output of one program against one golden; `limit_db` is the least SNR the recipe allows."""

    stage: str
    tensor: str
    golden: str
    precision: str
    parity: Parity
    limit_db: float

    @property
    def passed(self) -> bool:
        return self.parity.snr_db >= self.limit_db


def record(model: Model, recipe: Recipe, folder: Path, on_evaluation: OnEvaluation) -> None:
    """Write `<stage>_<k>.npz`, each holding a stage's inputs and outputs by tensor name.

    Object k is made from the noise of the goldens' seed + k. Where a whole trajectory would be too large (more than
    2^23 elements), it is recorded over its first evaluations, one with guidance among them, for as many objects as are
    kept of them, and later stages take its last prediction for latents, clipped where the model's own scheduler clips,
    unless the recipe unrolls the sampler.
    Raises ValidationFailed where a tokenizer that travels along, or what is known of a picture input, reads a prompt or
    a picture in another way than the original.
    """
    original, goldens = model.original(recipe), recipe.goldens
    requests = requests_of(original.pipeline, goldens.prompts, recipe.folder)
    seeds = [goldens.seed + k for k in range(len(requests))]
    run = make(original, requests, seeds)
    _require_same_tokens(model, run, goldens.prompts)
    _require_same_pictures(run, requests)
    for name, stage in original.pipeline.stages.items():
        if stage.kind == "sample":
            run = _record_sampler(original, recipe, name, run, folder, on_evaluation)
        else:
            record_stage(run, name, folder, goldens.seed)


def record_stage(run: Run, name: str, folder: Path, seed: int) -> None:
    """Write what a stage that is not sampled takes and gives in a run; `seed`: of the places where it is evaluated."""
    stage = run.pipeline.stages[name]
    arrays = run.taken_by(name)
    if stage.kind in EVALUATED:
        places = many_places(stage.kind, run.count, seed)
        arrays[stage.evaluated_at.name] = in_own_units(run.pipeline, name, places)
    save_golden(folder, name, 0, arrays | run.programs.run_program(name, arrays))


def _require_same_tokens(model: Model, run: Run, prompts: list[str]) -> None:
    for source in run.pipeline.texts.values():
        tokenizer = PromptTokenizer(model.input_files()[source.file], source.length, source.pad_id, source.clean)
        for prompt, ours, theirs in zip(prompts, tokenizer.encode(prompts), run[source.tensor], strict=True):
            if not np.array_equal(ours, theirs):
                raise ValidationFailed(
                    f"{source.file} reads {prompt!r} as the tokens {ours.tolist()}, the original as {theirs.tolist()}: "
                    "the bundle would make another object. Mend the family's input_files or pad_id"
                )


def _require_same_pictures(run: Run, requests: Sequence[Request]) -> None:
    for name, source in run.pipeline.pictures.items():
        given = [request[name] for request in requests]
        for picture, ours, theirs in zip(given, PictureReader(source).encode(given), run[source.tensor], strict=True):
            if not np.allclose(ours, theirs, rtol=0, atol=ROUNDING if source.resized_as == "floats" else 0):
                raise ValidationFailed(
                    f"input '{name}' reads {picture} in another way than the original (up to "
                    f"{np.abs(ours - theirs).max():.3g} apart): the bundle would make another object. Mend its size, "
                    "resampling, mean, std, background or framing"
                )


def golden_pictures(pipeline: Pipeline, goldens: GoldensSection, folder: Path) -> dict[str, Path]:
    """The pictures that goldens are recorded of, by the path that each gets inside a bundle; `folder`: where the paths
    of the recipe begin."""
    if not pipeline.pictures:
        return {}
    paths = [folder / prompt for prompt in goldens.prompts]
    return {f"{GOLDENS}/picture_{k:03d}{path.suffix.lower()}": path for k, path in enumerate(paths)}


def goldens_of(folder: Path, stage: str) -> list[Path]:
    """The recorded files of a stage, in order."""
    return recorded_of(folder / GOLDENS, stage)


def check(stage: str, session: Session, goldens: list[Path], precision: str, limit: float) -> list[GoldenParity]:
    """A program's outputs on the recorded inputs, against the recorded outputs; `limit` in dB."""
    found = []
    for path in goldens:
        with np.load(path, allow_pickle=False) as file:
            recorded = dict(file)
        for name, actual in session.run(recorded).items():
            found.append(GoldenParity(stage, name, path.name, precision, compare(recorded[name], actual), limit))
    return found


def limit_db(is_whole_sampler: bool, tolerances: Tolerances) -> float:
    """A stage's least SNR; a sampler in one program strays as far as free-running latents may."""
    if not is_whole_sampler:
        return tolerances.stage_snr_db
    return min(tolerances.stage_snr_db, -20 * math.log10(max(tolerances.latents_relative_l2 or 0.0, 1e-12)))


def _record_sampler(
    original: Original, recipe: Recipe, stage: str, run: Run, folder: Path, on_evaluation: OnEvaluation
) -> Run:
    """Record a stage at some evaluations (or the whole sampler); the run with its latents, of the objects kept."""
    sampler, latents = original.samplers[stage], original.pipeline.stages[stage].makes[0]
    draws = run.draws(stage)
    unit = draws(0)
    kept = max(1, FILE_ELEMENTS // unit[0].size)
    guided = [evaluation.guided for evaluation in sampler.evaluations()]
    count = total = len(guided)
    if sampler.settings.unroll == "step":
        count = min(total, max(2, TRAJECTORY_ELEMENTS // unit.size, 1 + int(np.argmax(guided))))
    if count < total:
        run = run.first(kept)
        unit, draws = unit[:kept], run.draws(stage)
    taken = run.taken_by(stage)
    seen: list[Seen] = []

    def remember(i: int, sample: np.ndarray, prediction: np.ndarray) -> None:
        seen.append((sample, prediction))
        on_evaluation(i + 1, count)

    end = sampler.sample(original.conditions(stage, taken), unit, remember, count, draws)
    within = original.ends_within(stage)
    run.tensors[latents.name] = end if count == total else seen[-1][1].clip(-within, within)
    churned = draws if sampler.settings.churn else None
    if sampler.settings.unroll != "step":
        given = {SAMPLE: seen[0][0]} | ({NOISE: noise_of_all(churned, count)} if churned else {})
        save_golden(folder, stage, 0, taken | given | {latents.name: end})
    else:
        record_evaluations(folder, stage, taken, dict(enumerate(seen)), end, churned)
    return run


def kept_evaluations(count: int) -> list[int]:
    """Which of `count` evaluations are recorded: some evenly, and the second, where a state is handed over first."""
    return sorted({min(1, count - 1), *np.linspace(0, count - 1, EVALUATIONS_KEPT).round().astype(int).tolist()})


def record_evaluations(
    folder: Path, stage: str, taken: Arrays, seen: Mapping[int, Seen], end: np.ndarray, draws: Draws | None = None
) -> None:
    """Write some evaluations of a sampler. `seen`: by its number, sample and prediction of each that is kept and of
    those beside it; `end`: the sample after the last; `draws`: the noise that a sampler with churn took."""
    count = max(seen) + 1
    kept, zeros = max(1, FILE_ELEMENTS // end[0].size), np.zeros_like(end)
    for i in kept_evaluations(count):
        before, prediction_before = seen[i - 1] if i else (zeros, zeros)
        arrays = taken | {
            SAMPLE: seen[i][0],
            PREVIOUS_SAMPLE: before,
            PREVIOUS_PREDICTION: prediction_before,
            PREDICTION: seen[i][1],
            NEXT_SAMPLE: seen[i + 1][0] if i + 1 < count else end,
        }
        if draws:
            arrays[NOISE] = draws(1 + i)
        cut = {name: array[:kept] for name, array in arrays.items()}
        save_golden(folder, stage, i, cut | {STEP: np.array(i, np.int64)})


def save_golden(folder: Path, stage: str, index: int, arrays: Arrays) -> None:
    """Write recorded inputs and outputs of a stage."""
    np.savez(folder / f"{stage}_{index:03d}.npz", allow_pickle=False, **arrays)
