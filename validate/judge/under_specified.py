"""Measures for captions that leave much open: a good model gives different, sharp objects that keep to the caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from validate.judge.prompts import Prompt

DistanceField = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def diversity(objects: NDArray[np.floating]) -> float:
    """Mean pairwise cosine distance between the objects [seeds, d] of one prompt; 0 when all are alike."""
    if len(objects) < 2:
        raise ValueError("diversity needs at least two seeds of a prompt")
    unit = objects.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), k=1)
    return float(1.0 - (unit[first] * unit[second]).sum(1).mean())


def sharpness(
    distance: DistanceField, vertices: NDArray[np.floating], *, step: float = 0.01, limit: int = 1024
) -> float:
    """Mean gradient magnitude of the field at the surface, by central differences of half-width `step`.

    A mean of several objects crosses zero slowly, one object steeply. At most `limit` vertices, evenly spaced over
    the list, are looked at; a mesh without vertices has sharpness 0. `distance` maps points [p, 3] to values [p].
    """
    if len(vertices) == 0:
        return 0.0
    chosen = vertices[np.linspace(0, len(vertices) - 1, min(limit, len(vertices))).astype(int)].astype(np.float32)
    offsets = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32) * np.float32(step)
    values = distance((chosen[None] + offsets[:, None]).reshape(-1, 3)).reshape(6, -1).astype(np.float64)
    gradient = (values[:3] - values[3:]) / (2 * step)
    return float(np.sqrt((gradient**2).sum(0)).mean())


def consistent_captions(prompt: Prompt, captions: Sequence[Prompt]) -> NDArray[np.bool_]:
    """Which fully specified captions [m] state everything the prompt states."""
    return np.array([prompt.satisfied_by(caption) for caption in captions], dtype=bool)


def best_cosine(objects: NDArray[np.floating], captions: NDArray[np.floating], allowed: NDArray[np.bool_]) -> NDArray:
    """Highest cosine of each object [n, d] to any allowed caption [m, d]: near a real object, not between several."""
    if not allowed.any():
        raise ValueError("no fully specified caption is consistent with the prompt")
    return (objects.astype(np.float64) @ captions[allowed].astype(np.float64).T).max(1)


def consistent(
    objects: NDArray[np.floating], captions: NDArray[np.floating], allowed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether the first caption retrieved for each object [n, d] among all captions [m, d] is an allowed one."""
    return allowed[(objects.astype(np.float64) @ captions.astype(np.float64).T).argmax(1)]
