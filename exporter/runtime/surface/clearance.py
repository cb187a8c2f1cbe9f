"""Blocks that cannot hold a surface, told from the signed distances at their corners and in their middle.

Signed distances from many a network end in a tanh, densities in an exponential; undone, their slope is even.
If that slope is at most L inside a block, a sample clears the ball around it whose radius is its magnitude over L. A
block whose samples have one sign holds no surface if each of its parts lies in one of the balls, or if those of its
corners have a mean radius above (3 + 3√2 + √3) / 8 widths: no point of a block is farther than that from its eight
corners in the mean.

L is SAFETY times the steepest slope between samples of the block and of its 26 neighbours, and no less than SAFETY
times the usual slope where the surface was seen, or came nearest. Of a field that saturates within a block nothing can
be concluded: no block is cleared.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from exporter.runtime.surface.lattice import over_corners, over_pairs, with_neighbours
from exporter.runtime.surface.squash import TANH, Squash

SAFETY = 1.25
MEAN_REACH = (3 + 3 * math.sqrt(2) + math.sqrt(3)) / 8
CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
CORNERS_AND_MIDDLE = np.vstack([2 * CORNERS, [[1, 1, 1]]])  # in half widths
PARTS_ALONG_AN_EDGE = 4
# The parts of that many blocks stay in a processor's second cache.
BLOCKS_AT_ONCE = 1024


def not_cleared_by_corners(
    values: np.ndarray, lattice: np.ndarray, grid: int, blocks: np.ndarray, crossed: np.ndarray, squash: Squash = TANH
) -> tuple[np.ndarray, np.ndarray]:
    """Indices [K, 3] of blocks that may hold a surface all the same, and what the field may change over their width.

    `squash`: what the values went through.
    """
    raw = squash.undone(values)
    widths = np.diff(lattice) * (2.0 / (grid - 1))
    slopes = np.where(blocks, _steepest(raw, widths), 0.0)
    mean = over_corners(np.add, np.abs(raw)) / 8
    seen = crossed if crossed.any() else blocks & (mean == mean[blocks].min(initial=np.inf))
    usual = np.median(slopes[seen]) if seen.any() else 0.0
    change = widths[0] * SAFETY * np.maximum(with_neighbours(np.maximum, slopes), usual)
    doubtful = np.argwhere(blocks & ~crossed & (mean < MEAN_REACH * change))
    change = change[tuple(doubtful.T)]
    still = ~_cleared(np.abs(_samples(raw, doubtful, CORNERS)) / change[:, None])
    return doubtful[still], change[still]


def cleared_with_middle(
    values: np.ndarray, blocks: np.ndarray, change: np.ndarray, squash: Squash = TANH
) -> np.ndarray:
    """Which blocks [K] hold no surface; `values` on the lattice twice as fine as theirs, their middles asked."""
    samples = squash.undone(_samples(values, 2 * blocks, CORNERS_AND_MIDDLE))
    inside = samples > 0
    return (inside.all(axis=1) | ~inside.any(axis=1)) & _cleared(np.abs(samples) / change[:, None])


def _cleared(radii: np.ndarray) -> np.ndarray:
    """Whether the balls [K, S], in widths, around corners (and middle) of a block hold each of its parts."""
    cleared = np.empty(len(radii), bool)
    for start in range(0, len(radii), BLOCKS_AT_ONCE):
        some = radii[start : start + BLOCKS_AT_ONCE].astype(np.float32)
        margin = some[:, :1] - FARTHEST[0]
        for sample in range(1, radii.shape[1]):
            np.maximum(margin, some[:, sample, None] - FARTHEST[sample], out=margin)
        cleared[start : start + BLOCKS_AT_ONCE] = margin.min(axis=1) > 0
    return cleared


def _farthest() -> np.ndarray:
    """From corners and middle of a block one wide, how far the farthest point is of each of its parts [9, M]."""
    start = np.arange(PARTS_ALONG_AN_EDGE) / PARTS_ALONG_AN_EDGE
    end = start + 1 / PARTS_ALONG_AN_EDGE
    along = [np.maximum(abs(start - place), abs(end - place)) ** 2 for place in (0.0, 0.5, 1.0)]
    squares = [np.add.outer(np.add.outer(along[x], along[y]), along[z]).ravel() for x, y, z in CORNERS_AND_MIDDLE]
    return np.sqrt(squares).astype(np.float32)


FARTHEST = _farthest()


def _samples(values: np.ndarray, at: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of samples [n, n, n], those [K, S] at indices [K, 3] and places [S, 3] from there; none lies past the lattice."""
    return values[tuple(np.moveaxis(np.minimum(at[:, None] + places, len(values) - 1), -1, 0))]


def _steepest(raw: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Of every block, the slope that the steepest of its edges along each axis make together."""
    squares = np.zeros(tuple(side - 1 for side in raw.shape), raw.dtype)
    for axis in range(3):
        slopes = np.moveaxis(np.abs(np.diff(raw, axis=axis)), axis, -1) / widths.astype(raw.dtype)
        slopes = np.moveaxis(slopes, -1, axis)
        for other in {0, 1, 2} - {axis}:
            slopes = over_pairs(np.maximum, slopes, other)
        squares += slopes**2
    return np.sqrt(squares)
