"""How many times as fast as a baseline: both are run in turns, so that what else the machine does falls on both."""

from __future__ import annotations

import time
from collections.abc import Callable
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


def interleaved(baseline: Action, other: Action, seconds: float) -> Speed:
    """Time both in turns for about `seconds`, at least three rounds; each round the other one goes first."""
    baseline()
    other()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < FEWEST_ROUNDS or (len(times) < MOST_ROUNDS and time.perf_counter() < end):
        if len(times) % 2:
            taken = _time(other)
            times.append((_time(baseline), taken))
        else:
            times.append((_time(baseline), _time(other)))
    pairs = np.array(times)
    low, ratio, high = np.quantile(pairs[:, 0] / pairs[:, 1], [0.25, 0.5, 0.75])
    baseline_seconds, other_seconds = np.median(pairs, axis=0)
    return Speed(float(ratio), float(low), float(high), float(other_seconds), float(baseline_seconds), len(times))


def _time(action: Action) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin
