"""Which points of a lattice have to be asked for its surface: coarse to fine, refining what a bound cannot rule out.

Two things are promised of `sample_near_surface`, with w the width of a coarse block (`certain_size`):

Of any field: a part of the object, or a hole in it, that contains a coarse sample is right in every point, because in
the end all cells that show a change of sign have been asked in full. A ball of diameter √3·w contains one.

Of a field no steeper than the guard assumes: nothing is missed at all. Signed distances from a network end in a tanh;
undone, their slope is even. If that slope is at most L inside a block, a surface through it is no farther from a corner
than the corners' values over L; the mean distance from any point of a block to its eight corners is at most
(3 + 3√2 + √3) / 8 widths. So a block whose corners have one sign and a mean magnitude above that many widths times L
holds no surface. L is SAFETY times the steepest slope between samples of the block and of its 26 neighbours, and no
less than SAFETY times the usual slope where the surface was seen, or came nearest. Of a field that saturates
within a block nothing can be concluded: all its blocks are refined.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Distance = Callable[[np.ndarray], np.ndarray]

COARSE_BLOCKS = 32
SAFETY = 1.25
REACH = (3 + 3 * math.sqrt(2) + math.sqrt(3)) / 8
# A tanh this close to 1 has lost its digits; half-precision programs come this far.
SATURATED = math.tanh(3.5)


def coarse_stride(grid: int) -> int:
    """Cells along a coarse block: the power of two that makes about 32 blocks of the volume, at least 2."""
    return max(2, 1 << (grid // COARSE_BLOCKS).bit_length() >> 1)


def certain_size(grid: int) -> float:
    """Diameter, where the volume is 2 wide, of a ball that no part can hold and be missed, whatever the field."""
    return math.sqrt(3) * coarse_stride(grid) * 2 / (grid - 1)


def sample_near_surface(distance: Distance, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Values [grid, grid, grid] on the lattice, and which of them were asked.

    The others have the sign of a coarser sample beside them. `distance` takes lattice indices [P, 3] and gives signed
    distances [P], positive inside; outside the lattice all is negative.
    """
    stride = coarse_stride(grid)
    lattice = _lattice(grid, stride)
    values = distance(_indices(np.ones((len(lattice),) * 3, bool), lattice)).reshape((len(lattice),) * 3)
    asked = np.ones(values.shape, bool)
    blocks = np.ones((len(lattice) - 1,) * 3, bool)
    while stride > 1:
        blocks = _may_cross(values, lattice, grid, blocks)
        stride //= 2
        values, asked, blocks, lattice = _halved(values, asked, blocks, _lattice(grid, stride))
        _ask(distance, values, asked, _corners(blocks) & ~asked, lattice)
    while (wanted := _crossed_and_not_asked(values, asked)).any():
        _ask(distance, values, asked, wanted, lattice)
    return values, asked


def _lattice(grid: int, stride: int) -> np.ndarray:
    """Indices along one edge, `stride` apart but for the last."""
    return np.minimum(np.arange(-(-(grid - 1) // stride) + 1) * stride, grid - 1)


def _indices(mask: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    return lattice[np.argwhere(mask)]


def _ask(distance: Distance, values: np.ndarray, asked: np.ndarray, wanted: np.ndarray, lattice: np.ndarray) -> None:
    if wanted.any():
        values[wanted] = distance(_indices(wanted, lattice))
        asked |= wanted


def _may_cross(values: np.ndarray, lattice: np.ndarray, grid: int, blocks: np.ndarray) -> np.ndarray:
    """Those of the blocks that hold a change of sign, at the border a positive sample, or too little distance."""
    positive = values > 0
    some, every = over_corners(np.logical_or, positive), over_corners(np.logical_and, positive)
    crossed = blocks & some & ~(every & _inner(blocks.shape))
    raw = np.arctanh(np.clip(values, -SATURATED, SATURATED))
    widths = np.diff(lattice) * (2.0 / (grid - 1))
    slopes = np.where(blocks, _steepest(raw, widths), 0.0)
    mean = over_corners(np.add, np.abs(raw)) / 8
    seen = crossed if crossed.any() else blocks & (mean == mean[blocks].min(initial=np.inf))
    usual = np.median(slopes[seen]) if seen.any() else 0.0
    steepest = SAFETY * np.maximum(_with_neighbours(np.maximum, slopes), usual)
    return crossed | (blocks & (mean < REACH * widths[0] * steepest))


def _halved(
    values: np.ndarray, asked: np.ndarray, blocks: np.ndarray, lattice: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Samples and blocks on a lattice twice as fine; a new sample takes the value of the old one before it."""
    old, new = len(values), len(lattice)
    before = np.arange(new) // 2
    before[-1] = old - 1
    at = np.minimum(2 * np.arange(old), new - 1)
    finer = np.zeros((new,) * 3, bool)
    finer[np.ix_(at, at, at)] = asked
    for axis in (2, 1, 0):  # the last axis first: by the time the arrays are large, whole planes are copied
        values = values.take(before, axis)
        blocks = blocks.repeat(2, axis).take(np.arange(new - 1), axis)
    return values, finer, blocks, lattice


def _crossed_and_not_asked(values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Samples that are still to be asked, of all cells that show a change of sign and of their neighbours."""
    positive, known = np.pad(values > 0, 1), np.pad(asked, 1, constant_values=True)
    crossed = over_corners(np.logical_or, positive) & ~over_corners(np.logical_and, positive)
    unknown = crossed & ~over_corners(np.logical_and, known)
    if not unknown.any():
        return unknown
    return _corners(_with_neighbours(np.logical_or, unknown))[1:-1, 1:-1, 1:-1] & ~asked


def over_corners(combine: np.ufunc, samples: np.ndarray) -> np.ndarray:
    """Of samples [n, n, n], the combination of the eight corners of every block [n - 1, n - 1, n - 1]."""
    for axis in range(3):
        samples = _pairs(combine, samples, axis)
    return samples


def _pairs(combine: np.ufunc, samples: np.ndarray, axis: int) -> np.ndarray:
    along = np.moveaxis(samples, axis, 0)
    return np.moveaxis(combine(along[:-1], along[1:]), 0, axis)


def _steepest(raw: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Of every block, the slope that the steepest of its edges along each axis make together."""
    squares = np.zeros(tuple(side - 1 for side in raw.shape), raw.dtype)
    for axis in range(3):
        slopes = np.moveaxis(np.abs(np.diff(raw, axis=axis)), axis, -1) / widths.astype(raw.dtype)
        slopes = np.moveaxis(slopes, -1, axis)
        for other in {0, 1, 2} - {axis}:
            slopes = _pairs(np.maximum, slopes, other)
        squares += slopes**2
    return np.sqrt(squares)


def _with_neighbours(combine: np.ufunc, blocks: np.ndarray) -> np.ndarray:
    """Every block combined with its 26 neighbours."""
    for axis in range(3):
        along = np.moveaxis(blocks, axis, 0)
        wider = along.copy()
        combine(wider[1:], along[:-1], out=wider[1:])
        combine(wider[:-1], along[1:], out=wider[:-1])
        blocks = np.moveaxis(wider, 0, axis)
    return blocks


def _corners(blocks: np.ndarray) -> np.ndarray:
    """The samples [n + 1, n + 1, n + 1] at the corners of blocks [n, n, n]."""
    return over_corners(np.logical_or, np.pad(blocks, 1))


def _inner(shape: tuple[int, ...]) -> np.ndarray:
    """The blocks that do not touch the border."""
    inner = np.zeros(shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    return inner
