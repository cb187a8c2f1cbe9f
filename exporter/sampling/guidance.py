"""Where the prompt is weighed against no prompt. Without torch: benchmarks of a bundle ask it too."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def guided_at(levels: ArrayLike, scale: float, interval: Sequence[float] | None) -> NDArray[np.bool_]:
    """At which noise levels [T] the prompt is weighed against no prompt.

    Guidance at an interval of noise levels alone: Kynkäänniemi et al., arXiv 2404.07724.
    """
    found = np.asarray(levels, dtype=np.float64)
    low, high = interval or (0.0, math.inf)
    return (scale > 1.0) & (found >= low) & (found <= high)
