"""Pictures resized as float32, in the bits of PyTorch's antialiased bilinear `interpolate` on a processor of the
lowest capability.

Weights and sums are float32 as there, columns first, then rows, each sum in order. Where PyTorch finds fused
multiply-add its own bits are others, by up to 2e-7: the ones here are the same on every machine, and in JavaScript.
"""

from __future__ import annotations

import numpy as np

One = np.float32


def resized_floats(values: np.ndarray, size: int) -> np.ndarray:
    """Float32 [H, W, C] to [size, size, C]."""
    columns = along(values.astype(One).transpose(1, 0, 2), size)
    return along(columns.transpose(1, 0, 2), size)


def along(values: np.ndarray, to: int) -> np.ndarray:
    """Float32 [from, N, C] to [to, N, C]."""
    if len(values) == to:
        return values
    first, weights = taps(len(values), to)
    total = values[first] * weights[:, 0, None, None]
    for j in range(1, weights.shape[1]):
        # Past its own taps a weight is zero.
        total += values[np.minimum(first + j, len(values) - 1)] * weights[:, j, None, None]
    return total


def taps(before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """For each new sample the first old one that it is made of [after], and the weights from there on, float32
    [after, most]."""
    scale = One(before) / One(after)
    support = max(scale, One(1))
    inverse = One(1) / support if scale >= 1 else One(1)
    found = [_tap(i, scale, support, inverse, before) for i in range(after)]
    most = max(len(weights) for _, weights in found)
    padded = [np.pad(weights, (0, most - len(weights))) for _, weights in found]
    return np.array([first for first, _ in found]), np.stack(padded)


def _tap(i: int, scale: One, support: One, inverse: One, before: int) -> tuple[int, np.ndarray]:
    center = One(scale * One(i + 0.5))
    first = max(int(One(One(center - support) + One(0.5))), 0)
    last = min(int(One(One(center + support) + One(0.5))), before)
    offset = One(One(first) - center)
    places = (np.arange(last - first, dtype=One) + offset + One(0.5)) * inverse
    weights = np.maximum(One(0), One(1) - np.abs(places))
    total = One(0)
    for weight in weights:
        total = One(total + weight)
    return first, (weights / total).astype(One)
