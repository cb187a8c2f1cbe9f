"""Noise that is the same on every machine and easy to write again in any language."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Unit normal noise, float32, of `shape`, from Philox4x64-10 keyed with `seed` (0 <= seed < 2^64).

    The raw 64-bit words, which numpy guarantees never to change, become uniforms u = (word >> 11) * 2^-53 in their
    order; each pair (u, v) gives two normals by Box and Muller in float64: r = sqrt(-2 ln(1 - u)), r cos(2πv) and
    r sin(2πv). numpy's own `standard_normal` is not used: its stream may change between versions.
    """
    count = math.prod(shape)
    words = np.random.Philox(key=seed).random_raw(count + count % 2)
    uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log1p(-uniform[0::2]))
    angle = 2.0 * np.pi * uniform[1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:count].reshape(shape).astype(np.float32)


def object_seeds(seed: int, count: int) -> list[int]:
    """The seeds of `count` objects from `seed` on: object k has seed + k, and that alone makes it again."""
    return [(seed + k) % 2**64 for k in range(count)]


def unit_noise(seeds: Iterable[int], shape: tuple[int, ...]) -> np.ndarray:
    """Unit normal noise [B, *shape], each object's from its own seed."""
    return np.stack([noise(seed, shape) for seed in seeds])
