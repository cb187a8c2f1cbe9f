"""Triangles in a picture: the pixels that may lie in them, and where in the triangle each one lies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SAMPLES_AT_ONCE = 1 << 20


def boxed_samples(corners: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Face index, x and y of every pixel centre in the bounding box of each triangle [F, 3, 2], in portions."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    low = np.clip(np.ceil(np.minimum(np.minimum(a, b), c)), 0, size).astype(np.int64)
    high = np.clip(np.floor(np.maximum(np.maximum(a, b), c)) + 1, 0, size).astype(np.int64)
    width, height = np.maximum(high - low, 0).T
    ends = np.cumsum(width * height)
    if len(ends) == 0:
        return
    portion = ends // SAMPLES_AT_ONCE
    for number in np.unique(portion):
        chosen = np.flatnonzero((portion == number) & (width * height > 0))
        counts = width[chosen] * height[chosen]
        face = np.repeat(chosen, counts)
        offset = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
        row = offset // width[face]
        yield face, low[face, 0] + offset - row * width[face], low[face, 1] + row


def barycentric(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether pixels lie in their triangles [P, 3, 2], and the screen-space weights [P, 3] of the corners."""
    (ax, ay), (bx, by), (cx, cy) = corners[:, 0].T, corners[:, 1].T, corners[:, 2].T
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
    second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
    third = 1.0 - first - second
    return (first >= 0) & (second >= 0) & (third >= 0), np.stack([first, second, third], axis=1)
