"""Did anything become worse? A measurement against its baseline, check by check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from validate.ci.baseline import BaselineTolerances
from validate.ci.measurement import QUALITY, MeasuredQuality, MeasuredSpeed, Measurement, RungFigures
from validate.judge.statistics import mcnemar_exact

Status = Literal["held", "regressed", "not run"]


@dataclass(frozen=True)
class Regression:
    """One check of one pair of recipe and target: what was found, in a line."""

    pair: str
    check: str
    status: Status
    text: str


def compare(pair: str, now: Measurement, before: Measurement, allowed: BaselineTolerances) -> list[Regression]:
    """All checks of a pair, each held, regressed, or not run where the two cannot be compared."""
    found = [(_of_rung(name), _rung(name, rung, before.rungs.get(name), allowed)) for name, rung in now.rungs.items()]
    found.append(("size", _size(now.stored_bytes, before.stored_bytes, allowed)))
    found += [("quality", outcome) for outcome in _quality(now.quality, before.quality, allowed)]
    found += [("speed", outcome) for outcome in _speed(now.speed, before.speed, allowed)]
    return [Regression(pair, check, *outcome) for check, outcome in found]


def ladder_alone(pair: str, now: Measurement, allowed: BaselineTolerances) -> list[Regression]:
    """The ladder's own verdict, where nothing is known from before."""
    return [Regression(pair, _of_rung(name), *_rung(name, rung, None, allowed)) for name, rung in now.rungs.items()]


def _of_rung(name: str) -> str:
    return f"ladder: {name}"


def _rung(name: str, now: RungFigures, before: RungFigures | None, allowed: BaselineTolerances) -> tuple[Status, str]:
    if now.status == "failed":
        return "regressed", now.summary
    if before and before.status == "passed" and now.status != "passed":
        return "regressed", f"{now.status}: {now.summary}; it passed before"
    # Quality is checked by its own test; figures of different measures have no difference.
    if before is None or name == QUALITY or before.measure != now.measure:
        return "held", now.summary or now.status
    margins = now.margin, before.margin
    if margins[0] is None or margins[1] is None:
        return "held", now.summary or now.status
    lost = margins[1] - margins[0]
    if lost > allowed.parity * margins[1]:
        return "regressed", (
            f"{now.summary}; {before.value:.4g} before: more than {allowed.parity:.0%} of its distance to the limit is "
            "lost"
        )
    return "held", now.summary


def _size(now: int, before: int, allowed: BaselineTolerances) -> tuple[Status, str]:
    text = f"{now} bytes of programs, {before} before ({now / before - 1:+.1%})"
    return ("regressed" if now > before * (1 + allowed.size) else "held"), text


def _quality(
    now: MeasuredQuality | None, before: MeasuredQuality | None, allowed: BaselineTolerances
) -> Iterator[tuple[Status, str]]:
    if now is None and before is None:
        return
    if now is None or before is None or now.made != before.made:
        yield "not run", "the baseline was made of other prompts, views or another judge: objects cannot be paired"
        return
    pairs = list(zip(before.hits, now.hits, strict=True))
    only_before, only_now = pairs.count(("1", "0")), pairs.count(("0", "1"))
    p_value = mcnemar_exact(only_before, only_now)
    drop = before.rate - now.rate
    text = f"R-Precision {before.rate:.1f} -> {now.rate:.1f} % on {len(pairs)} objects, McNemar p = {p_value:.3g}"
    worse = drop > allowed.quality_points or (drop > 0 and p_value < allowed.significance)
    yield ("regressed" if worse else "held"), text


def _speed(
    now: MeasuredSpeed | None, before: MeasuredSpeed | None, allowed: BaselineTolerances
) -> Iterator[tuple[Status, str]]:
    if now is None and before is None:
        return
    if now is None or before is None:
        yield "not run", "the target runs on only one of the two machines"
        return
    text = f"a step is {now.ratio:.2f} times as fast as PyTorch's ({now.low:.2f} to {now.high:.2f})"
    if now.processor != before.processor:
        yield "held", f"{text}; not compared with {before.ratio:.2f} on another processor ({before.processor})"
        return
    # Slower is what is so in three rounds of four.
    slower = now.high < before.ratio * (1 - allowed.speed)
    yield ("regressed" if slower else "held"), f"{text}, {before.ratio:.2f} before"
