"""Fewer evaluations: which samplers a recipe could have, how near each comes to its own, and the fastest good enough.

Solvers of the same equation differ by their error alone, so that the latents of few prompts tell which are worth a
trial. That is a proxy; the last word has what a bundle with the sampler makes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporter.errors import RecipeError, did_you_mean
from exporter.families.family import Model
from exporter.machine.meter import Progress, StepRecord, metered
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.recipe import Recipe
from exporter.recipe.sampler_section import SamplerSection
from exporter.runtime.guidance import guided_at
from exporter.runtime.run import make, requests_of
from exporter.sampling.levels import noise_levels, start
from exporter.sampling.schedulers import schedule_of
from exporter.workshop.calibration import choose_prompts
from validate.tune.trial import TrialVerdict

SCREEN = "screen samplers"
PROMPTS = 4
SOLVERS = ("dpmpp_2m", "euler", "heun")
STEPS = (3, 4, 5, 6, 7, 8, 10, 12)
TYPICAL = 8
# Spacing, and the highest noise level where it is not the recipe's own.
SCHEDULES: tuple[tuple[str, float | None], ...] = (
    ("karras", None), ("karras", 80.0), ("karras", 40.0), ("karras", 20.0),
    ("exponential", None), ("exponential", 80.0), ("exponential", 40.0), ("exponential", 20.0),
)  # fmt: skip
# Guidance may be spared at high noise, where all prompts look alike yet. At low noise it cost more than it saved.
INTERVALS = ((0.0, 30.0), (0.0, 15.0), (0.0, 8.0), (0.0, 4.0), (0.0, 2.0))


@dataclass(frozen=True)
class Candidate:
    """A sampler. `rows`: how many rows the network is given for one object; an evaluation with guidance has two.

    `error`: relative L2 distance of its latents from those of the recipe's own sampler.
    """

    sampler: SamplerSection
    rows: int
    error: float

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        fields = {"scheduler", "steps", "spacing", "highest_noise", "lowest_noise", "guidance_interval"}
        chosen = self.sampler.model_dump(mode="json", include=fields)
        return chosen | {"rows": self.rows, "latents_relative_l2": self.error}


@dataclass(frozen=True)
class SamplerAttempt:
    """A sampler that was tried, with what was said of its objects."""

    candidate: Candidate
    verdict: TrialVerdict


@dataclass(frozen=True)
class SamplerSearch:
    """Of all samplers that were screened the front, fastest first, and those of it that were tried."""

    rows: int
    screened: int
    front: list[Candidate]
    attempts: list[SamplerAttempt]

    @property
    def chosen(self) -> Candidate | None:
        """The fastest that passed."""
        passed = [attempt.candidate for attempt in self.attempts if attempt.verdict.passed]
        return min(passed, key=lambda candidate: candidate.rows, default=None)

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "rows": self.rows,
            "screened": self.screened,
            "front": [candidate.to_dict() for candidate in self.front],
            "attempts": [
                attempt.candidate.to_dict()
                | {"passed": attempt.verdict.passed, "proven": attempt.verdict.proven}
                | {"summary": attempt.verdict.summary, **attempt.verdict.figures}
                for attempt in self.attempts
            ],
            "chosen": self.chosen.to_dict() if self.chosen else None,
        }


OnSampler = Callable[[SamplerAttempt], None]
Judge = Callable[[SamplerSection, str], TrialVerdict]
"""Of a sampler and what its trial is called: 'sampler 2 of at most 4'."""


def search_samplers(
    model: Model,
    recipe: Recipe,
    judge: Judge,
    progress: Progress,
    on_attempt: OnSampler,
    stage: str | None = None,
) -> SamplerSearch:
    """Screen samplers in PyTorch, then `judge` those on the front until the fastest good enough is found. `stage`:
    whose, of several that sample; all others keep the recipe's own."""
    stage = searched_stage(model.pipeline(recipe), stage)
    require_deterministic(recipe.sampler_of(stage))
    own = count_rows(model, stage, recipe.sampler_of(stage))
    with metered(SCREEN, progress, list[StepRecord]()):
        found = screen(model, recipe, stage, lambda done, total: progress.advanced(SCREEN, done, total))
    front = front_of(found)
    return SamplerSearch(own, len(found), front, bisect(front, judge, on_attempt))


def screen(model: Model, recipe: Recipe, stage: str, told: Callable[[int, int], None]) -> list[Candidate]:
    """Of the sampler of a stage: schedules first, each with one solver; under the two nearest all solvers; then
    intervals of guidance. A flow's schedule is the model's own: fewer steps of it.

    `told(done, 0)` is told how many samplers were tried.
    """
    screened = _Screen(model, recipe, stage, told)
    own = screened.own
    if own.scheduler == "flow_euler":
        found = screened(own.model_copy(update={"steps": steps}) for steps in STEPS)
    else:
        found = _screen_solvers(screened, own)
    if own.guidance_scale > 1.0 and not own.guidance_interval:
        found += screened(
            candidate.sampler.model_copy(update={"guidance_interval": list(interval)})
            for candidate in front_of(found)
            for interval in INTERVALS
        )
    return found


def _screen_solvers(screened: _Screen, own: SamplerSection) -> list[Candidate]:
    typical = min(TYPICAL, max(1, len(screened.levels) // 2))
    base = own.model_copy(update={"scheduler": SOLVERS[0], "steps": typical, "lowest_noise": None})
    schedules = screened(
        base.model_copy(update={"spacing": spacing, "highest_noise": highest or own.highest_noise})
        for spacing, highest in SCHEDULES
        if highest is None or highest < screened.levels[0]
    )
    nearest = sorted(schedules, key=lambda candidate: candidate.error)[:2]
    return schedules + screened(
        candidate.sampler.model_copy(update={"scheduler": solver, "steps": steps})
        for candidate in nearest
        for solver in SOLVERS
        for steps in STEPS
    )


class _Screen:
    """How far the latents of samplers are from the recipe's own, on a few prompts that validation never sees."""

    def __init__(self, model: Model, recipe: Recipe, stage: str, told: Callable[[int, int], None]) -> None:
        self.model, self.recipe, self.stage, self.told = model, recipe, stage, told
        self.prompts = choose_prompts(recipe.quantization.calibration)[:PROMPTS]
        self.own = recipe.sampler_of(self.stage)
        self.original = model.original(recipe)
        self.goal = self._latents(self.own)
        self.most = count_rows(model, self.stage, self.own)
        self.levels = levels_of(model, self.stage, self.own)
        self.count = 0

    def __call__(self, samplers: Iterable[SamplerSection]) -> list[Candidate]:
        """Those that cost less than the recipe's own."""
        found = []
        for sampler in samplers:
            rows = count_rows(self.model, self.stage, sampler)
            if rows < self.most:
                found.append(Candidate(sampler, rows, _distance(self.goal, self._latents(sampler))))
                self.count += 1
                self.told(self.count, 0)
        return found

    def _latents(self, sampler: SamplerSection) -> np.ndarray:
        samplers = self.recipe.samplers | {self.stage: sampler}
        original = self.original.sampled_by(self.recipe.model_copy(update={"samplers": samplers}))
        run = make(original, requests_of(original.pipeline, self.prompts), range(len(self.prompts)))
        return run[original.pipeline.stages[self.stage].makes[0].name]


def searched_stage(pipeline: Pipeline, named: str | None) -> str:
    """The stage whose sampler is searched for: the one that is named, or the only one. Raises RecipeError where there
    is none, where several sample and none is named, and for a name that is none of theirs."""
    stages = pipeline.of_kind("sample")
    if named is None and len(stages) == 1:
        return stages[0]
    if not stages:
        raise RecipeError("--search sampler: the pipeline samples in no stage")
    if named is None:
        raise RecipeError(
            f"--search sampler: the pipeline samples in {len(stages)} stages, and one is searched for; name it with "
            f"--stage {' or --stage '.join(stages)}"
        )
    if named not in stages:
        raise RecipeError(f"--stage {named}: no stage that samples; {did_you_mean(named, stages)}")
    return named


def require_deterministic(sampler: SamplerSection) -> None:
    """Raises RecipeError for a sampler with churn: what others make of the same noise is no nearer to it or farther."""
    if sampler.churn:
        raise RecipeError(
            "--search sampler: the recipe's sampler has churn, which no other sampler's latents can be compared with; "
            "search with churn left out"
        )


def count_rows(model: Model, stage: str, sampler: SamplerSection) -> int:
    """How many rows the network is given for one object."""
    levels = levels_of(model, stage, sampler)
    return len(levels) + int(guided_at(levels, sampler.guidance_scale, sampler.guidance_interval).sum())


def levels_of(model: Model, stage: str, sampler: SamplerSection) -> np.ndarray:
    """The noise level at each evaluation, the highest first."""
    scheduler = schedule_of(sampler, model.scheduler(stage))
    start(scheduler, sampler.steps)
    return noise_levels(scheduler)


def front_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those to which no other is both as fast and nearer, fastest first."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda candidate: (candidate.rows, candidate.error)):
        if math.isfinite(candidate.error) and (not front or candidate.error < front[-1].error):
            front.append(candidate)
    return front


def bisect(front: Sequence[Candidate], judge: Judge, on_attempt: OnSampler) -> list[SamplerAttempt]:
    """Halve the front until the fastest that passes is found, as if whatever is nearer passed too."""
    attempts: list[SamplerAttempt] = []
    low, high = 0, len(front)
    while low < high:
        middle = (low + high) // 2
        most = len(attempts) + (high - low).bit_length()
        name = f"sampler {len(attempts) + 1} of at most {most}"
        attempts.append(SamplerAttempt(front[middle], judge(front[middle].sampler, name)))
        on_attempt(attempts[-1])
        low, high = (low, middle) if attempts[-1].verdict.passed else (middle + 1, high)
    return attempts


def _distance(goal: np.ndarray, found: np.ndarray) -> float:
    return float(np.linalg.norm(found - goal) / np.linalg.norm(goal))
