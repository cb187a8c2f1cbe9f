"""Noise that is the same on every machine and easy to write again in any language."""

from __future__ import annotations

import math

import numpy as np

from exporter.runtime.inputs.values import require_seed


def noise(seed: int, shape: tuple[int, ...], draw: int = 0, stream: int = 0) -> np.ndarray:
    """Unit normal noise, float32, of `shape`, from Philox4x64-10 with the key (seed, stream) and the counter's highest
    word `draw`: every draw of every stream of a seed is another one.

    Raises RecipeError for a seed that is no whole number from 0 to 2^64 - 1.

    The raw 64-bit words, which numpy guarantees never to change, become uniforms u = (word >> 11) * 2^-53 in their
    order; each pair (u, v) gives two normals by Box and Muller in float64: r = sqrt(-2 ln(1 - u)), r cos(2πv) and
    r sin(2πv). numpy's own `standard_normal` is not used: its stream may change between versions.
    """
    count = math.prod(shape)
    generator = np.random.Philox(key=require_seed(seed) + (stream << 64), counter=draw << 192)
    words = generator.random_raw(count + count % 2)
    uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log1p(-uniform[0::2]))
    angle = 2.0 * np.pi * uniform[1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:count].reshape(shape).astype(np.float32)
