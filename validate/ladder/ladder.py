"""The ladder: from single stages to whole objects, the cheap rungs first. Every rung is climbed even if one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from exporter.errors import EnvironmentProblem, RecipeError, did_you_mean
from validate.ladder.context import Context
from validate.ladder.no_reference import NoReference
from validate.ladder.result import RungResult, Status
from validate.ladder.rungs import latents, quality, renders, shape, stages, steps
from validate.ladder.rungs.rung import Outcome, Rung

RUNGS: tuple[Rung, ...] = (stages.RUNG, steps.RUNG, latents.RUNG, shape.RUNG, renders.RUNG, quality.RUNG)

OnRung = Callable[[Rung, RungResult | None], None]


def choose_rungs(names: Sequence[str]) -> tuple[Rung, ...]:
    """The rungs of these names, in the ladder's order; all for an empty choice. Raises RecipeError for a wrong name."""
    known = {rung.name: rung for rung in RUNGS}
    for name in names:
        if name not in known:
            raise RecipeError(f"--rungs: no rung {name!r}; {did_you_mean(name, known)}")
    return tuple(rung for rung in RUNGS if not names or rung.name in names)


def climb(context: Context, rungs: Sequence[Rung] = RUNGS, on_rung: OnRung | None = None) -> list[RungResult]:
    """Run the rungs one after the other. `on_rung(rung, None)` is told at the start of each, its result at the end."""
    results = []
    for rung in rungs:
        if on_rung:
            on_rung(rung, None)
        results.append(_climb(rung, context))
        if on_rung:
            on_rung(rung, results[-1])
    return results


def _climb(rung: Rung, context: Context) -> RungResult:
    start = time.perf_counter()
    if isinstance(context.reference, NoReference) and not rung.on_recordings:
        return RungResult(rung.name, rung.title, status="skipped", reason=context.reference.reason)
    try:
        result = _result(rung, rung.run(context))
    # What the machine lacks says nothing of the bundle.
    except (EnvironmentProblem, MemoryError, OSError):
        raise
    # Whatever a damaged program brings about is that rung's finding; the others still have something to say.
    except Exception as error:
        result = RungResult(rung.name, rung.title, status="failed", reason=f"{type(error).__name__}: {error}")
    return replace(result, seconds=time.perf_counter() - start)


def _result(rung: Rung, outcome: Outcome) -> RungResult:
    if outcome.refused or outcome.skipped:
        status: Status = "refused" if outcome.refused else "skipped"
        return RungResult(rung.name, rung.title, status=status, reason=outcome.refused or outcome.skipped)
    passed = not outcome.failed and all(figure.passed for figure in outcome.figures)
    return RungResult(
        rung.name,
        rung.title,
        tuple(outcome.figures),
        "passed" if passed else "failed",
        reason=outcome.failed,
        details=outcome.details,
    )
