"""Weights on grids: integers with a scale for each channel or block, or indices into a table.

Every function takes the Gram matrix of the layer's inputs, where there is one, and then rounds by `gptq`; otherwise
each weight goes to its nearest level. Weighting scales and tables by the size of the inputs was tried and gained
nothing: 0.0 to 0.1 dB at the outputs of the small model's denoiser, where gptq gains 3.6 to 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.quantize.gptq import Floats, Gram, gptq
from exporter.quantize.grid import LEVELS

# Nineteen candidates gain less than 0.1 dB over these eight.
_SHRINKS = np.linspace(0.7, 1.05, 8, dtype=np.float32)
_HALF = np.finfo(np.float16)
_BINS = 2**16
_SHARES = 2**8
_ITERATIONS = 200


def per_channel(weight: Floats, gram: Gram | None = None) -> tuple[NDArray[np.int8], Floats]:
    """INT8, symmetric, one scale for each output channel: integers [..., K, N] in ±127 and scales [..., 1, N].

    A channel of zeros gets scale 1, because targets refuse a scale that is not positive.
    """
    scale = np.abs(weight).max(axis=-2, keepdims=True) / np.float32(LEVELS)
    scale = np.where(scale > np.finfo(np.float32).tiny, scale, np.float32(1))
    return _integers(weight, scale, weight.shape[-2], -LEVELS, LEVELS, gram), scale


def blockwise(weight: Floats, bits: int, block: int, gram: Gram | None = None) -> tuple[NDArray[np.int8], Floats]:
    """Integers [..., K, N] of 4 or 8 bits, one scale for each block of rows: scales [..., ceil(K / block), N].

    The scale is the one of the least squared error, from 0.7 to 1.05 of what the largest weight of the block needs. All
    are positive numbers that half precision holds exactly, 6e-8 or more.
    """
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    blocks = -(-weight.shape[-2] // block)
    scale = np.empty((*weight.shape[:-2], blocks, weight.shape[-1]), np.float32)
    for matrix in np.ndindex(weight.shape[:-2]):
        scale[matrix] = _block_scales(weight[matrix], block, low, high)
    return _integers(weight, scale, block, low, high, gram), scale


def dequantize(integers: NDArray[np.int8], scale: Floats, block: int | None = None) -> Floats:
    """The weights that integers [..., K, N] and scales [..., blocks, N] stand for; one block of all rows by default."""
    rows = integers.shape[-2]
    return integers * np.repeat(scale, block or rows, axis=-2)[..., :rows, :]


def palette(weight: Floats, bits: int, gram: Gram | None = None) -> tuple[NDArray[np.uint8], Floats]:
    """Indices of any shape into one table of 2**bits ascending values, which k-means in one dimension finds."""
    table = _kmeans(weight, 2**bits)
    if gram is not None:
        weight = gptq(weight, gram, lambda values, _: table[_nearest_index(values, table)])
    indices = np.empty(weight.shape, np.uint8)
    for matrix in np.ndindex(weight.shape[:-2]):
        indices[matrix] = _nearest_index(weight[matrix], table)
    return indices, table


def _integers(weight: Floats, scale: Floats, block: int, low: int, high: int, gram: Gram | None) -> NDArray[np.int8]:
    def nearest(values: Floats, at: tuple[int, ...]) -> Floats:
        step = scale[(*at[:-1], at[-1] // block)]
        return np.clip(np.rint(values / step), low, high) * step

    if gram is not None:
        weight = gptq(weight, gram, nearest)
    integers = np.empty(weight.shape, np.int8)
    for matrix in np.ndindex(weight.shape[:-2]):
        steps = np.repeat(scale[matrix], block, axis=0)[: weight.shape[-2]]
        integers[matrix] = np.clip(np.rint(weight[matrix] / steps), low, high)
    return integers


def _block_scales(matrix: Floats, block: int, low: int, high: int) -> Floats:
    """Scales [blocks, N] of the least squared error; the last block may be short."""
    rows, columns = matrix.shape
    padded = np.pad(matrix, ((0, -rows % block), (0, 0))).reshape(-1, block, columns)
    widest = np.abs(padded).max(axis=1, keepdims=True) / np.float32(high)
    best, least = np.empty_like(widest), np.full_like(widest, np.inf)
    for shrink in _SHRINKS:
        scale = _as_half(widest * shrink)
        error = np.clip(np.rint(padded / scale), low, high)
        error *= scale
        error -= padded
        loss = np.einsum("bkn,bkn->bn", error, error)[:, None]
        best = np.where(loss < least, scale, best)
        least = np.minimum(loss, least)
    return best[:, 0]


def _as_half(scale: Floats) -> Floats:
    """Rounded to half precision, kept positive and finite."""
    inside = np.clip(scale, float(_HALF.smallest_subnormal), float(_HALF.max))
    return inside.astype(np.float16).astype(np.float32)


def _nearest_index(values: Floats, table: Floats) -> NDArray[np.uint8]:
    return np.searchsorted((table[1:] + table[:-1]) / 2, values).astype(np.uint8)


def _kmeans(weight: Floats, count: int) -> Floats:
    """`count` ascending centres of the weights' histogram (Lloyd 1982).

    They start where the cube root of the density has equal shares, which is the best place for many levels (Panter and
    Dite 1951), so the result does not hang on a seed.
    """
    low, high = np.float64(weight.min()), np.float64(weight.max())
    if low == high:
        return np.full(count, low, np.float32)
    counts, edges = np.histogram(weight, _BINS, (low, high))
    values = (edges[1:] + edges[:-1]) / 2
    counts_below = np.concatenate([[0], np.cumsum(counts)])
    sums_below = np.concatenate([[0], np.cumsum(counts * values)])
    density = counts.reshape(_SHARES, -1).sum(axis=1)
    shares = np.concatenate([[0], np.cumsum(np.cbrt(density))])
    centres = np.interp((np.arange(count) + 0.5) / count * shares[-1], shares, edges[:: _BINS // _SHARES])
    for _ in range(_ITERATIONS):
        bounds = np.concatenate([[0], np.searchsorted(values, (centres[1:] + centres[:-1]) / 2), [_BINS]])
        held = np.diff(counts_below[bounds])
        moved = np.where(held > 0, np.diff(sums_below[bounds]) / np.maximum(held, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres.astype(np.float32)
