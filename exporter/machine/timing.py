"""Sides timed in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Action = Callable[[], object]

FEWEST_ROUNDS = 3
MOST_ROUNDS = 200


@dataclass(frozen=True)
class Speed:
    """Baseline's time over the other's: median over the rounds and the middle half of them; medians in seconds."""

    ratio: float
    low: float
    high: float
    seconds: float
    baseline_seconds: float
    rounds: int

    @classmethod
    def of(cls, baseline: Sequence[float], other: Sequence[float]) -> Speed:
        """From the seconds of both sides in the same rounds."""
        low, ratio, high = np.quantile(np.divide(baseline, other), [0.25, 0.5, 0.75])
        return cls(
            float(ratio), float(low), float(high), float(np.median(other)), float(np.median(baseline)), len(other)
        )


def in_turns(names: Sequence[str], fewest: int, most: int | None = None, seconds: float = 0.0) -> Iterator[list[str]]:
    """The order of the sides in each round, another side first every time.

    There are `fewest` rounds, and more, up to `most`, as long as `seconds` are not over.
    """
    most = fewest if most is None else most
    end = time.perf_counter() + seconds
    for number in range(most):
        if number >= fewest and time.perf_counter() >= end:
            return
        start = number % len(names)
        yield [*names[start:], *names[:start]]


def interleaved(actions: Mapping[str, Action], seconds: float) -> dict[str, list[float]]:
    """Seconds of every action in each round, in turns for about `seconds`; the first run of each is not counted."""
    for action in actions.values():
        action()
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for order in in_turns(list(actions), FEWEST_ROUNDS, MOST_ROUNDS, seconds):
        for name in order:
            taken[name].append(timed(actions[name]))
    return taken


def timed(action: Action) -> float:
    """Seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin
