"""Where the prompt is weighed against no prompt: at an interval of noise levels.

Kynkäänniemi et al., arXiv 2404.07724.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exporter.pipeline.sampling import Sampling


def guided_at(levels: ArrayLike, scale: float, interval: Sequence[float] | None) -> NDArray[np.bool_]:
    """At which noise levels [T] there is guidance."""
    found = np.asarray(levels, dtype=np.float64)
    low, high = interval or (0.0, math.inf)
    return (scale > 1.0) & (found >= low) & (found <= high)


def guided_evaluations(folder: Path, sampling: Sampling) -> NDArray[np.bool_]:
    """Which evaluations [T] of a stage of a bundle have both branches of guidance."""
    if sampling.guidance_interval is None:
        return np.full(sampling.evaluations, sampling.guidance_scale > 1.0)
    table = json.loads((folder / sampling.table).read_text(encoding="utf-8"))
    return guided_at(table["noise_levels"], sampling.guidance_scale, sampling.guidance_interval)
