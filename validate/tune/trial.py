"""Is a policy good enough? By the noise it leaves, or by what its bundle makes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter.build.build import build
from exporter.errors import RecipeError, ValidationFailed
from exporter.files.cache import Cache
from exporter.machine.meter import Progress, StepRecord, Within, metered
from exporter.pipeline.pipeline import Pipeline
from exporter.recipe.policy import Policy
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import Target
from validate.judge.statistics import paired_rates_interval, pairs_to_show
from validate.ladder.rungs import quality
from validate.ladder.rungs.rung import Outcome
from validate.prove import Options, make_context, plan_quality, with_reference

COMPARE = "compare objects"
_TOLD = (
    "prompts", "seeds", "captions", "mcnemar_p", "difference_points", "smallest_loss_points", "evaluator", "views",
)  # fmt: skip


@dataclass(frozen=True)
class TrialVerdict:
    """What a trial says: whether the policy is good enough, why in one line, and the figures.

    `proven`: whether the interval of the loss keeps the goal too, not its estimate alone.
    """

    passed: bool
    summary: str
    figures: dict[str, Any] = field(default_factory=dict)
    proven: bool = True

    @property
    def words(self) -> str:
        """The verdict for people."""
        return ("good enough" if self.proven else "good enough, not proven") if self.passed else "not good enough"


Decibels = dict[str, float]
Trial = Callable[[Policy, Decibels, str], TrialVerdict]
"""Of a policy, with its SNR and what the trial is called: 'policy 3 of at most 6'."""


def at_least(snr_db: float) -> Trial:
    """The trial of a policy by the SNR of the whole, in each stage it is measured in."""

    def trial(policy: Policy, measured: Decibels, name: str) -> TrialVerdict:
        worst = min(measured.values(), default=math.inf)
        return TrialVerdict(worst >= snr_db, f"{worst:.1f} dB measured, at least {snr_db:.1f} dB wanted")

    return trial


class PairedTest:
    """The trial of a policy by what its bundle makes: R-Precision beside the reference's, pair by pair.

    Bundles are built in a temporary folder and thrown away; the reference's objects are kept in the cache.
    """

    def __init__(
        self,
        recipe: Recipe,
        pipeline: Pipeline,
        target: Target,
        max_drop: float,
        options: Options,
        cache: Cache,
        progress: Progress,
        unproven: bool = False,
    ) -> None:
        """`pipeline`: the recipe's. `max_drop` in points of R-Precision: what the loss keeps under to the end of its
        95 % interval, or by its estimate alone where `unproven` will do.

        Raises PromptsError or EvaluatorError for options that do not fit, RecipeError for too few prompts to prove it.
        """
        self.recipe, self.target = recipe, target
        self.options, self.cache, self.progress, self.unproven = options, cache, progress, unproven
        self.plan = replace(plan_quality(recipe, pipeline, options), under_specified=(), max_drop_points=max_drop)
        if not unproven:
            _require_pairs(len(self.plan.prompts) * self.plan.seeds, max_drop)

    def __call__(self, policy: Policy, measured: Decibels, name: str) -> TrialVerdict:
        quantization = self.recipe.quantization.model_copy(update={"rules": policy.rules})
        return self.judge(self.recipe.model_copy(update={"quantization": quantization}), name)

    def judge(self, recipe: Recipe, name: str) -> TrialVerdict:
        """Build the bundle of a recipe and compare its objects with those of the reference of the first; `name`: of
        the trial, for the progress.

        Raises ValidationFailed for a reference that is no better than chance, beside which nothing is good enough.
        """
        shown = Within(self.progress, name)
        with tempfile.TemporaryDirectory(prefix="t3export-tune-") as folder:
            try:
                out = Path(folder) / "bundle"
                build(recipe, self.target, out, cache=self.cache, progress=shown, need_gain=False, keep_failed=False)
            except ValidationFailed as error:
                return TrialVerdict(False, f"it cannot be built: {error}")
            with metered(COMPARE, shown, list[StepRecord]()):
                outcome = self._compare(Bundle.open(Path(folder) / "bundle"), recipe, shown)
        if outcome.failed:
            raise ValidationFailed(outcome.failed)
        drop = next(figure for figure in outcome.figures if figure.measure == "drop")
        figures = {"drop_points": drop.value, **{name: outcome.details[name] for name in _TOLD}}
        may_lose = max(0.0, -outcome.details["difference_points"]["low"])
        proven = may_lose <= self.plan.max_drop_points
        doubt = "" if proven else f"; not proven: the loss may be as large as {may_lose:.1f} points"
        return TrialVerdict(
            drop.passed and (proven or self.unproven), f"{drop}, {drop.where}{doubt}", figures, drop.passed and proven
        )

    def _compare(self, bundle: Bundle, recipe: Recipe, shown: Within) -> Outcome:
        if self.plan.reference is None:
            self.plan = with_reference(self.plan, bundle, self.recipe, self.options)
        assert self.plan.reference is not None

        def told(what: str, done: int, total: int) -> None:
            shown.advanced(COMPARE, done, total)

        return quality.RUNG.run(make_context(bundle, self.plan.reference, recipe, self.plan, told))


def _require_pairs(pairs: int, max_drop: float) -> None:
    """Raises RecipeError where n pairs leave room for a larger loss even if not one of them differs."""
    needed = pairs_to_show(max_drop / 100)
    if pairs < needed:
        hidden = 100 * paired_rates_interval(0, 0, pairs).high
        takes = f"it takes {needed:,} pairs (prompts times seeds)" if math.isfinite(needed) else "no number does"
        raise RecipeError(
            f"--max-drop {max_drop:g}: {pairs} pairs cannot prove it, for even where none differs a loss of up to "
            f"{hidden:.1f} points may hide; {takes}. Give more --prompts or --seeds, a larger --max-drop, or "
            "--unproven to take what is good enough by the estimate alone"
        )
