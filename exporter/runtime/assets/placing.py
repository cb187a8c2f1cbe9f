"""Axes: a mesh has z up, as the model; a format that wants y up gets it turned."""

from __future__ import annotations

import numpy as np

Y_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)


def y_up(vectors: np.ndarray) -> np.ndarray:
    """Points or directions [P, 3] with y up and x as it was."""
    return vectors @ Y_UP
