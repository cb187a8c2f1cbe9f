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

from exporter.families.base import LoadedModel
from exporter.meter import Progress, StepRecord, metered
from exporter.quantize.calibration import choose_prompts
from exporter.recipe import Recipe, SamplerSection
from exporter.runtime.noise import noise
from exporter.sampling.schedulers import guided_at, make_scheduler, noise_levels, start
from validate.trial import Verdict

SCREEN = "screen samplers"
PROMPTS = 8
SOLVERS = ("dpmpp_2m", "heun", "euler", "ddim")
STEPS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
# Where guidance might be spared: at high noise, where the prompt decides little yet, and at low, where it has decided.
INTERVALS = ((0.0, 100.0), (0.0, 30.0), (0.0, 10.0), (1.0, 500.0), (1.0, 100.0), (1.0, 30.0))

Latents = Callable[[SamplerSection], np.ndarray]


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
        chosen = self.sampler.model_dump(mode="json", include={"scheduler", "steps", "guidance_interval"})
        return chosen | {"rows": self.rows, "latents_relative_l2": self.error}


@dataclass(frozen=True)
class SamplerAttempt:
    """A sampler that was tried, with what was said of its objects."""

    candidate: Candidate
    verdict: Verdict


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
                | {"passed": attempt.verdict.passed, "summary": attempt.verdict.summary, **attempt.verdict.figures}
                for attempt in self.attempts
            ],
            "chosen": self.chosen.to_dict() if self.chosen else None,
        }


OnSampler = Callable[[SamplerAttempt], None]


def search_samplers(
    model: LoadedModel,
    recipe: Recipe,
    judge: Callable[[SamplerSection], Verdict],
    progress: Progress,
    on_attempt: OnSampler,
) -> SamplerSearch:
    """Screen samplers in PyTorch, then `judge` those on the front until the fastest good enough is found."""
    own = count_rows(model, recipe.sampler)
    with metered(SCREEN, progress, list[StepRecord]()):
        found = screen(model, recipe, lambda done, total: progress.advanced(SCREEN, done, total))
    front = front_of(found)
    return SamplerSearch(own, len(found), front, bisect(front, judge, on_attempt))


def screen(model: LoadedModel, recipe: Recipe, told: Callable[[int, int], None]) -> list[Candidate]:
    """All solvers with guidance as the recipe has it, then intervals of guidance for those on the front."""
    own = recipe.sampler
    prompts = choose_prompts(recipe.quantization.calibration)[:PROMPTS]
    embedding = model.reference(own, recipe.render).encode(prompts)
    unit = np.stack([noise(seed, model.latent_shape) for seed in range(len(prompts))])

    def latents(sampler: SamplerSection) -> np.ndarray:
        return model.reference(sampler, recipe.render).sample(embedding, unit)

    most = count_rows(model, own)
    goal = latents(own)

    def screened(samplers: Iterable[SamplerSection]) -> list[Candidate]:
        counted = [(sampler, count_rows(model, sampler)) for sampler in samplers]
        cheaper = [(sampler, rows) for sampler, rows in counted if rows < most]
        found = []
        for done, (sampler, rows) in enumerate(cheaper, start=1):
            found.append(Candidate(sampler, rows, _distance(goal, latents(sampler))))
            told(done, len(cheaper))
        return found

    solvers = screened(
        own.model_copy(update={"scheduler": solver, "steps": steps}) for solver in SOLVERS for steps in STEPS
    )
    if own.guidance_scale <= 1.0 or own.guidance_interval:
        return solvers
    return solvers + screened(
        candidate.sampler.model_copy(update={"guidance_interval": list(interval)})
        for candidate in front_of(solvers)
        for interval in INTERVALS
    )


def count_rows(model: LoadedModel, sampler: SamplerSection) -> int:
    """How many rows the network is given for one object."""
    scheduler = make_scheduler(sampler.scheduler, model.scheduler(), sampler.clamp)
    levels = noise_levels(scheduler, start(scheduler, sampler.steps))
    return len(levels) + int(guided_at(levels, sampler.guidance_scale, sampler.guidance_interval).sum())


def front_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those to which no other is both as fast and nearer, fastest first."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda candidate: (candidate.rows, candidate.error)):
        if math.isfinite(candidate.error) and (not front or candidate.error < front[-1].error):
            front.append(candidate)
    return front


def bisect(
    front: Sequence[Candidate], judge: Callable[[SamplerSection], Verdict], on_attempt: OnSampler
) -> list[SamplerAttempt]:
    """Halve the front until the fastest that passes is found, as if whatever is nearer passed too."""
    attempts: list[SamplerAttempt] = []
    low, high = 0, len(front)
    while low < high:
        middle = (low + high) // 2
        attempts.append(SamplerAttempt(front[middle], judge(front[middle].sampler)))
        on_attempt(attempts[-1])
        low, high = (low, middle) if attempts[-1].verdict.passed else (middle + 1, high)
    return attempts


def _distance(goal: np.ndarray, found: np.ndarray) -> float:
    return float(np.linalg.norm(found - goal) / np.linalg.norm(goal))
