"""Some samples of a sampler's way, evenly over it, however long it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.runtime.run import OnStep

KEPT = 32


class Trajectory:
    """An observer that keeps copies of samples [B, *latents]: every one at first, and of ever more only every second.

    So memory is bounded without knowing the number of evaluations, which `evaluations` counts. `then` is told every
    step.
    """

    def __init__(self, then: OnStep | None = None) -> None:
        self.samples: dict[int, NDArray[np.float32]] = {}
        self.evaluations = 0
        self._then = then
        self._stride = 1

    def __call__(self, step: int, sample: NDArray[np.float32], prediction: NDArray[np.float32]) -> None:
        self.evaluations = step + 1
        if step % self._stride == 0:
            self.samples[step] = sample.copy()
        if len(self.samples) > KEPT:
            self._stride *= 2
            self.samples = {kept: value for kept, value in self.samples.items() if kept % self._stride == 0}
        if self._then:
            self._then(step, sample, prediction)
