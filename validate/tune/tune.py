"""From sensitivities to a policy that was tried: search, measure the whole, put it to the proof, and back off.

The search adds up the noise of layers tried alone. That is a proxy; the last word has the whole policy, measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from exporter.errors import RecipeError, ValidationFailed
from exporter.families.registry import load_model
from exporter.files.cache import Cache
from exporter.machine.meter import Progress
from exporter.recipe.policy import Policy, Rule
from exporter.recipe.recipe import Recipe
from exporter.recipe.sampler_section import SamplerSection
from exporter.search.candidates import choose_candidates
from exporter.search.error_metric import decibels
from exporter.search.losses import Loss, Sensitivity
from exporter.search.rules import write_policy
from exporter.search.search import LayerChoice, Objective, budget_of, pareto_front, search
from exporter.search.sensitivity import measure
from exporter.search.workbench import Workbench
from exporter.targets.target import Target
from validate.objects.reference import as_compared
from validate.prove import RANDOM_REFUSAL, Options
from validate.tune.samplers import OnSampler, SamplerSearch, search_samplers
from validate.tune.trial import Decibels, PairedTest, Trial, TrialVerdict, at_least

STEP_DB = 3.0
ATTEMPTS = 6
FRONT_DB = tuple(range(6, 61, 3))


@dataclass(frozen=True)
class Goal:
    """What to save, and what it may cost: points of R-Precision, or else the SNR in dB where noise is measured.

    `unproven`: the estimate of the points will do, wherever its interval ends.
    """

    objective: Objective
    max_drop: float | None = None
    min_snr_db: float | None = None
    unproven: bool = False


Searched = Literal["both", "sampler", "policy"]


@dataclass(frozen=True)
class Attempt:
    """One policy that was tried: the budget it was searched under and what was measured of the whole, in dB."""

    budget_db: float
    choice: LayerChoice
    policy: Policy
    measured_db: Decibels
    verdict: TrialVerdict


@dataclass(frozen=True)
class Tuning:
    """The Pareto front of the search, and the policies that were tried, of which the last is the one to take."""

    sensitivity: Sensitivity | None
    objective: Objective
    front: list[LayerChoice]
    attempts: list[Attempt]
    samplers: SamplerSearch | None = None

    @property
    def policy(self) -> Policy | None:
        """The policy that passed."""
        return self.attempts[-1].policy if self.attempts and self.attempts[-1].verdict.passed else None

    @property
    def sampler(self) -> SamplerSection | None:
        """The sampler that passed."""
        return self.samplers.chosen.sampler if self.samplers and self.samplers.chosen else None

    @property
    def passed(self) -> bool:
        """Whether anything was found that saves and is good enough."""
        return self.policy is not None or self.sampler is not None

    def require_passed(self) -> None:
        """Raises ValidationFailed that says what the last attempt lacked."""
        if not self.passed and self.sensitivity is None:
            raise ValidationFailed(
                "no sampler with fewer evaluations was good enough; allow a larger drop, or search the policy too"
            )
        if not self.passed:
            saved = "is faster" if self.objective == "latency" else "is smaller"
            nothing = f"no layer {saved} in any of the candidates within the budget"
            last = self.attempts[-1].verdict.summary if self.attempts else nothing
            raise ValidationFailed(
                f"no policy was good enough ({len(self.attempts)} tried): {last}. Allow a larger drop or a lower SNR, "
                "or name more candidates, such as int8_weights"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON data."""
        found = self.sensitivity
        measured = ("recipe", "weights", "target", "machine", "stored_bytes", "milliseconds") if found else ()
        return {name: getattr(found, name) for name in measured} | {
            "objective": self.objective,
            "passed": self.passed,
            "attempts": [
                _told(attempt.choice)
                | {"measured_db": attempt.measured_db}
                | {"passed": attempt.verdict.passed, "proven": attempt.verdict.proven}
                | {"summary": attempt.verdict.summary, **attempt.verdict.figures}
                for attempt in self.attempts
            ],
            "front": [_told(choice) for choice in self.front],
            "samplers": self.samplers.to_dict() if self.samplers else None,
            "policy": self.policy.model_dump(exclude_defaults=True) if self.policy else None,
        }


OnAttempt = Callable[[Attempt], None]


def tune(
    recipe: Recipe,
    target: Target,
    goal: Goal,
    candidates: Sequence[str],
    options: Options,
    cache: Cache,
    progress: Progress,
    on_attempt: OnAttempt,
    on_sampler: OnSampler,
    searched: Searched = "policy",
    stage: str | None = None,
) -> Tuning:
    """What saves most in a recipe and holds the goal. `candidates`: labels; all that are allowed for none.

    The policy: the recipe's own rules are left alone; its calibration, objective and smoothing hold. The sampler: the
    fastest under the recipe's own rules, of `stage` where several sample. With both the policy is searched under the
    sampler that was found; either is compared with what the recipe's own sampler makes.
    Raises RecipeError for candidates that target or recipe lack, for a drop asked of random weights, and for one that
    so few prompts cannot prove.
    """
    rules = choose_for(recipe, target, candidates)
    trial = _trial(recipe, target, goal, options, cache, progress)
    samplers = None
    if searched != "policy":
        assert isinstance(trial, PairedTest)
        samplers = _search_samplers(recipe, stage, trial, progress, on_sampler)
        if samplers.chosen:
            trial.recipe = recipe = with_sampler(recipe, samplers.chosen.sampler, stage)
        if searched == "sampler":
            return Tuning(None, goal.objective, [], [], samplers)
    workbench = Workbench(recipe, target, cache, progress)
    sensitivity = measure(workbench, rules)
    start_db = _start(recipe, rules) if goal.min_snr_db is None else goal.min_snr_db
    attempts = walk(sensitivity.losses, goal.objective, start_db, lambda p: snr_of(workbench, p), trial, on_attempt)
    front = pareto_front(sensitivity.losses, goal.objective, FRONT_DB)
    return Tuning(sensitivity, goal.objective, front, attempts, samplers)


def with_sampler(recipe: Recipe, sampler: SamplerSection, stage: str | None = None) -> Recipe:
    """The recipe with another sampler of a stage, or of the only one that samples, written where its own is; its
    quality still compared with what its own samplers make."""
    own = as_compared(recipe)
    if stage:
        validation = recipe.validation.model_copy(update={"sampler": own.sampler, "samplers": own.samplers})
        return recipe.model_copy(update={"samplers": recipe.samplers | {stage: sampler}, "validation": validation})
    if not recipe.samplers:
        validation = recipe.validation.model_copy(update={"sampler": own.sampler})
        return recipe.model_copy(update={"sampler": sampler, "validation": validation})
    validation = recipe.validation.model_copy(update={"samplers": own.samplers})
    samplers = dict.fromkeys(recipe.samplers, sampler)
    return recipe.model_copy(update={"samplers": samplers, "validation": validation})


def _search_samplers(
    recipe: Recipe, stage: str | None, trial: PairedTest, progress: Progress, on_sampler: OnSampler
) -> SamplerSearch:
    model = load_model(recipe.model.family, recipe.weights, **recipe.model_settings)

    def judge(sampler: SamplerSection, name: str) -> TrialVerdict:
        return trial.judge(with_sampler(recipe, sampler, stage), name)

    return search_samplers(model, recipe, judge, progress, on_sampler, stage)


def walk(
    losses: Sequence[Loss],
    objective: Objective,
    start_db: float,
    measured: Callable[[Policy], Decibels],
    trial: Trial,
    on_attempt: OnAttempt,
) -> list[Attempt]:
    """Search under a budget of `start_db`, and as long as the trial says no under one 3 dB tighter than what the last
    policy was foretold to leave; six at most.

    `measured(policy)`: the SNR of the whole; may raise ValidationFailed for one that cannot be built.
    """
    attempts: list[Attempt] = []
    budget_db = start_db
    for number in range(1, ATTEMPTS + 1):
        choice = search(losses, objective, budget_of(budget_db))
        if not choice.chosen:
            break
        attempts.append(_try(write_policy(choice, losses), choice, budget_db, measured, trial, number))
        on_attempt(attempts[-1])
        budget_db = max(budget_db, min(choice.snr_db.values())) + STEP_DB
        if attempts[-1].verdict.passed or math.isinf(budget_db):
            break
    return attempts


def _try(
    policy: Policy,
    choice: LayerChoice,
    budget_db: float,
    measured: Callable[[Policy], Decibels],
    trial: Trial,
    number: int,
) -> Attempt:
    try:
        found = measured(policy)
    except ValidationFailed as error:
        return Attempt(budget_db, choice, policy, {}, TrialVerdict(False, f"it cannot be built: {error}"))
    return Attempt(budget_db, choice, policy, found, trial(policy, found, f"policy {number} of at most {ATTEMPTS}"))


def snr_of(workbench: Workbench, policy: Policy) -> Decibels:
    """The SNR in dB of a whole policy on recorded inputs; a stage that it leaves alone is left out."""
    cost = workbench.measure(policy)
    return {stage: decibels(cost.nsr(stage)) for stage in cost.noise if cost.nsr(stage)}


def choose_for(recipe: Recipe, target: Target, labels: Sequence[str]) -> list[Rule]:
    """The candidates of these labels, or all of the target that the recipe has tolerances for.

    Raises RecipeError for a label that is none, or of a precision that target or recipe lack.
    """
    rules, tolerances = choose_candidates(target, labels), recipe.validation.tolerances
    lacking = sorted({rule.precision for rule in rules} - set(tolerances))
    if labels and lacking:
        raise RecipeError(
            f"--candidates: recipe '{recipe.name}' does not say how good {', '.join(lacking)} has to be; add "
            f"validation.tolerances.{lacking[0]}"
        )
    return [rule for rule in rules if rule.precision in tolerances]


def _trial(recipe: Recipe, target: Target, goal: Goal, options: Options, cache: Cache, progress: Progress) -> Trial:
    if goal.min_snr_db is not None:
        return at_least(goal.min_snr_db)
    assert goal.max_drop is not None
    model = load_model(recipe.model.family, recipe.weights, **recipe.model_settings)
    if not model.trained:
        raise RecipeError(f"--max-drop: {RANDOM_REFUSAL}; ask for --min-snr instead")
    return PairedTest(recipe, model.pipeline(recipe), target, goal.max_drop, options, cache, progress, goal.unproven)


def _start(recipe: Recipe, candidates: Sequence[Rule]) -> float:
    """Where to begin if no SNR is asked for: what the recipe demands of stages in the most tolerant precision."""
    return min(recipe.validation.tolerances[rule.precision].stage_snr_db for rule in candidates)


def _told(choice: LayerChoice) -> dict[str, Any]:
    return {
        "budget_db": decibels(choice.budget),
        "foretold_db": choice.snr_db,
        "bytes_saved": choice.bytes_saved,
        "milliseconds_saved": choice.milliseconds_saved,
    }
