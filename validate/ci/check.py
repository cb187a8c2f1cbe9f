"""One pair of recipe and target, measured and checked against its baseline."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.errors import BundleError, T3Error, ValidationFailed
from exporter.machine.meter import Progress, Silent
from exporter.targets.accept import misfits
from validate.ci.baseline import Baseline
from validate.ci.measure_pair import How, RecipeOnTarget, measure
from validate.ci.measurement import Measurement
from validate.ci.regressions import Regression, Status, compare, ladder_alone

NO_BASELINE = "no baseline; `--update-baseline REASON` takes what is measured now as one"


@dataclass(frozen=True)
class Checked:
    """What was found of a pair; `measurement` is None where none could be made."""

    findings: list[Regression]
    measurement: Measurement | None = None


def check(pair: RecipeOnTarget, baseline: Baseline, how: How, progress: Progress | None = None) -> Checked:
    """Whatever is wrong with the pair is among the findings; what this machine lacks is 'not run'.

    A pair that the target refuses holds as long as it never had a baseline.
    """
    known = baseline.entries.get(pair.name)
    if refusals := misfits(pair.recipe, pair.target):
        status: Status = "regressed" if known else "held"
        reasons = "; ".join(f"no {what}: {why}" for what, why in refusals.items())
        return Checked([Regression(pair.name, "refused by the target", status, reasons)])
    try:
        found = measure(pair, how, progress or Silent())
    except (BundleError, ValidationFailed) as error:
        return Checked([Regression(pair.name, "bundle", "regressed", str(error))])
    # One pair that this machine has no room for is no reason to leave out the others.
    except (T3Error, MemoryError, OSError) as error:
        return Checked([Regression(pair.name, "run", "not run", str(error) or type(error).__name__)])
    if known is None:
        own = ladder_alone(pair.name, found, baseline.tolerances)
        return Checked([*own, Regression(pair.name, "baseline", "not run", NO_BASELINE)], found)
    return Checked(compare(pair.name, found, known.measurement, baseline.tolerances), found)


@dataclass(frozen=True)
class CheckTask:
    """A pair to check, as an engine's worker is given it."""

    pair: RecipeOnTarget
    baseline: Baseline
    how: How


def run_check(task: CheckTask) -> Checked:
    """What a worker does."""
    return check(task.pair, task.baseline, task.how)
