"""How far apart two pictures are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def psnr(reference: NDArray[np.floating], actual: NDArray[np.floating], peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of colours in [0, peak]; infinite for equal pictures, nan if any value is."""
    if reference.shape != actual.shape:
        raise ValueError(f"pictures must have one shape, found {reference.shape} and {actual.shape}")
    error = float(np.square(reference.astype(np.float64) - actual.astype(np.float64)).mean())
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))
