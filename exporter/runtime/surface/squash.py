"""What a field's distances went through at their end, and how it is undone where an even slope is wanted."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

# A tanh this close to 1, and a density so small a part of the surface's, have lost their digits; half-precision
# programs come this far.
SATURATED = math.tanh(3.5)
EMPTY = 1e-3


class Squash(NamedTuple):
    """tanh: of a distance; exp: a density, which is an exponential, less the `level` of the surface; none: nothing."""

    kind: Literal["tanh", "exp", "none"] = "tanh"
    level: float = 0.0

    def undone(self, values: np.ndarray) -> np.ndarray:
        """What went in, zero at the surface."""
        if self.kind == "tanh":
            return np.arctanh(np.clip(values, -SATURATED, SATURATED))
        if self.kind == "exp":
            return np.log(np.maximum(values / self.level + 1, EMPTY))
        return values


TANH, PLAIN = Squash("tanh"), Squash("none")
