"""How far one array is from another, in the figures that every comparison of the toolchain reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Parity:
    """Distances of `actual` from `reference`, computed in float64.

    `max_abs`: largest absolute difference. `relative_l2`: |actual - reference| / |reference|. `cosine`: between the
    flattened arrays. `snr_db`: 10 log10(|reference|² / |difference|²), infinite for equal arrays.
    """

    max_abs: float
    relative_l2: float
    cosine: float
    snr_db: float


def compare(reference: np.ndarray, actual: np.ndarray) -> Parity:
    """Parity of two arrays of the same shape; a value that is not finite in `actual` gives -inf dB.

    Raises ValueError when the shapes differ.
    """
    if reference.shape != actual.shape:
        raise ValueError(f"shapes differ: reference {reference.shape}, actual {actual.shape}")
    a, b = reference.astype(np.float64).ravel(), actual.astype(np.float64).ravel()
    if not np.isfinite(b).all():
        return Parity(float("inf"), float("inf"), 0.0, float("-inf"))
    if np.array_equal(a, b):
        return Parity(0.0, 0.0, 1.0, float("inf"))
    difference = float(np.linalg.norm(a - b))
    norm_a, norm_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    relative = difference / norm_a if norm_a else float("inf")
    cosine = float(a @ b) / (norm_a * norm_b) if norm_a and norm_b else 0.0
    snr = -20.0 * float(np.log10(relative)) if norm_a else float("-inf")
    return Parity(float(np.abs(a - b).max()), relative, cosine, snr)
