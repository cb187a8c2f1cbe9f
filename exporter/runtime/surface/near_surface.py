"""Which points of a lattice have to be asked for its surface: coarse to fine, refining what a bound cannot rule out.

Two things are promised of `sample_near_surface`, with w the width of a coarse block (`certain_size`):

Of any field: a part of the object, or a hole in it, that contains a coarse sample is right in every point, because in
the end all cells that show a change of sign have been asked in full. A ball of diameter √3·w contains one.

Of a field no steeper than `clearance` assumes: nothing is missed at all. A block that its corners do not clear is
asked in its middle, and refined if that does not clear it either.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from exporter.runtime.surface.clearance import cleared_with_middle, not_cleared_by_corners
from exporter.runtime.surface.lattice import corners, over_corners, with_neighbours
from exporter.runtime.surface.squash import TANH, Squash

Distance = Callable[[np.ndarray], np.ndarray]

COARSE_BLOCKS = 32


def coarse_stride(grid: int) -> int:
    """Cells along a coarse block: the power of two that makes about 32 blocks of the volume, at least 2."""
    return max(2, 1 << (grid // COARSE_BLOCKS).bit_length() >> 1)


def certain_size(grid: int) -> float:
    """Diameter, where the volume is 2 wide, of a ball that no part can hold and be missed, whatever the field."""
    return math.sqrt(3) * coarse_stride(grid) * 2 / (grid - 1)


def sample_near_surface(distance: Distance, grid: int, squash: Squash = TANH) -> tuple[np.ndarray, np.ndarray]:
    """Values [grid, grid, grid] on the lattice, and which of them were asked.

    The others have the sign of a coarser sample beside them. `distance` takes lattice indices [P, 3] and gives signed
    distances [P], positive inside, that went through `squash`; outside the lattice all is negative.
    """
    stride = coarse_stride(grid)
    lattice = _lattice(grid, stride)
    values = distance(_indices(np.ones((len(lattice),) * 3, bool), lattice)).reshape((len(lattice),) * 3)
    asked = np.ones(values.shape, bool)
    blocks = np.ones((len(lattice) - 1,) * 3, bool)
    while stride > 1:
        refined = _crossed(values, blocks)
        doubtful, change = not_cleared_by_corners(values, lattice, grid, blocks, refined, squash)
        stride //= 2
        lattice = _lattice(grid, stride)
        values, asked = _halved(values, asked, len(lattice))
        _ask(distance, values, asked, _middles(doubtful, len(lattice)) & ~asked, lattice)
        still = ~cleared_with_middle(values, doubtful, change, squash)
        refined[tuple(doubtful[still].T)] = True
        blocks = _in_eight(refined, len(lattice) - 1)
        _ask(distance, values, asked, corners(blocks) & ~asked, lattice)
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


def _crossed(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Those of the blocks that hold a change of sign, at the border a positive sample."""
    positive = values > 0
    some, every = over_corners(np.logical_or, positive), over_corners(np.logical_and, positive)
    return blocks & some & ~(every & _inner(blocks.shape))


def _middles(blocks: np.ndarray, side: int) -> np.ndarray:
    """The samples in the middle of blocks [K, 3], on the lattice twice as fine as theirs."""
    middles = np.zeros((side,) * 3, bool)
    middles[tuple(np.minimum(2 * blocks + 1, side - 1).T)] = True
    return middles


def _halved(values: np.ndarray, asked: np.ndarray, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples twice as fine, `new` along an edge; a new sample takes the value of the old one before it."""
    old = len(values)
    before = np.arange(new) // 2
    before[-1] = old - 1
    at = np.minimum(2 * np.arange(old), new - 1)
    finer = np.zeros((new,) * 3, bool)
    finer[np.ix_(at, at, at)] = asked
    for axis in (2, 1, 0):  # the last axis first: by the time the array is large, whole planes are copied
        values = values.take(before, axis)
    return values, finer


def _in_eight(blocks: np.ndarray, side: int) -> np.ndarray:
    """Every block as the eight between samples twice as fine; fewer where the last is only one cell wide."""
    for axis in (2, 1, 0):
        blocks = blocks.repeat(2, axis).take(np.arange(side), axis)
    return blocks


def _crossed_and_not_asked(values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Samples that are still to be asked, of all cells that show a change of sign and of their neighbours."""
    positive, known = np.pad(values > 0, 1), np.pad(asked, 1, constant_values=True)
    crossed = over_corners(np.logical_or, positive) & ~over_corners(np.logical_and, positive)
    unknown = crossed & ~over_corners(np.logical_and, known)
    if not unknown.any():
        return unknown
    return corners(with_neighbours(np.logical_or, unknown))[1:-1, 1:-1, 1:-1] & ~asked


def _inner(shape: tuple[int, ...]) -> np.ndarray:
    """The blocks that do not touch the border."""
    inner = np.zeros(shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    return inner
