"""Is a policy good enough? By the noise it leaves, or by what its bundle makes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter.build.build import build
from exporter.errors import ValidationFailed
from exporter.files.cache import Cache
from exporter.machine.meter import Progress, StepRecord, metered
from exporter.recipe.policy import Policy
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import Target
from validate.ladder.rungs import quality
from validate.ladder.rungs.rung import Outcome
from validate.prove import Options, make_context, plan_quality, with_reference

COMPARE = "compare objects"
_TOLD = ("prompts", "seeds", "captions", "mcnemar_p", "difference_points", "evaluator", "views")


@dataclass(frozen=True)
class TrialVerdict:
    """What a trial says: whether the policy is good enough, why in one line, and the figures."""

    passed: bool
    summary: str
    figures: dict[str, Any] = field(default_factory=dict)


Decibels = dict[str, float]
Trial = Callable[[Policy, Decibels], TrialVerdict]


def at_least(snr_db: float) -> Trial:
    """The trial of a policy by the SNR of the whole, in each stage it is measured in."""

    def trial(policy: Policy, measured: Decibels) -> TrialVerdict:
        worst = min(measured.values(), default=math.inf)
        return TrialVerdict(worst >= snr_db, f"{worst:.1f} dB measured, at least {snr_db:.1f} dB wanted")

    return trial


class PairedTest:
    """The trial of a policy by what its bundle makes: R-Precision beside the reference's, pair by pair.

    Bundles are built in a temporary folder and thrown away; the reference's objects are kept in the cache.
    """

    def __init__(
        self, recipe: Recipe, target: Target, max_drop: float, options: Options, cache: Cache, progress: Progress
    ) -> None:
        """`max_drop` in points of R-Precision. Raises PromptsError or EvaluatorError for options that do not fit."""
        self.recipe, self.target = recipe, target
        self.options, self.cache, self.progress = options, cache, progress
        self.plan = replace(plan_quality(recipe, options), under_specified=(), max_drop_points=max_drop)

    def __call__(self, policy: Policy, measured: Decibels) -> TrialVerdict:
        quantization = self.recipe.quantization.model_copy(update={"rules": policy.rules})
        return self.judge(self.recipe.model_copy(update={"quantization": quantization}))

    def judge(self, recipe: Recipe) -> TrialVerdict:
        """Build the bundle of a recipe and compare its objects with those of the reference of the first."""
        with tempfile.TemporaryDirectory(prefix="t3export-tune-") as folder:
            try:
                out = Path(folder) / "bundle"
                build(recipe, self.target, out, cache=self.cache, progress=self.progress, need_gain=False)
            except ValidationFailed as error:
                return TrialVerdict(False, f"it cannot be built: {error}")
            with metered(COMPARE, self.progress, list[StepRecord]()):
                outcome = self._compare(Bundle.open(Path(folder) / "bundle"), recipe)
        drop = next(figure for figure in outcome.figures if figure.measure == "drop")
        figures = {"drop_points": drop.value, **{name: outcome.details[name] for name in _TOLD}}
        return TrialVerdict(drop.passed, f"{drop}, {drop.where}", figures)

    def _compare(self, bundle: Bundle, recipe: Recipe) -> Outcome:
        if self.plan.reference is None:
            self.plan = with_reference(self.plan, bundle.manifest, self.recipe, self.options)
        assert self.plan.reference is not None
        return quality.RUNG.run(make_context(bundle, self.plan.reference, recipe, self.plan, self._told))

    def _told(self, what: str, done: int, total: int) -> None:
        self.progress.advanced(COMPARE, done, total)
