from __future__ import annotations

import numpy as np
import pytest

from validate.ladder.trajectory import KEPT, Trajectory


@pytest.mark.parametrize("steps", [1, KEPT, 127, 1000])
def test_samples_are_few_and_spread_over_the_whole_way(steps: int) -> None:
    told: list[int] = []
    watched = Trajectory(lambda step, sample, prediction: told.append(step))
    for step in range(steps):
        watched(step, np.full((1, 2, 2), step, np.float32), np.zeros((1, 2, 2), np.float32))
    kept = list(watched.samples)
    assert told == list(range(steps))
    assert min(steps, KEPT // 2) <= len(kept) <= KEPT and kept[0] == 0 and kept[-1] >= steps - steps // (KEPT // 2) - 1
    assert len(set(np.diff(kept))) <= 1
    assert all((sample == step).all() for step, sample in watched.samples.items())
