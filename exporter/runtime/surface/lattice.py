"""Samples on a lattice, and the blocks between them: what is true of a block's corners, of its neighbours."""

from __future__ import annotations

import numpy as np


def over_corners(combine: np.ufunc, samples: np.ndarray) -> np.ndarray:
    """Of samples [n, n, n], the combination of the eight corners of every block [n - 1, n - 1, n - 1]."""
    for axis in range(3):
        samples = over_pairs(combine, samples, axis)
    return samples


def over_pairs(combine: np.ufunc, samples: np.ndarray, axis: int) -> np.ndarray:
    """Of samples, the combination of every two that follow one another along an axis."""
    along = np.moveaxis(samples, axis, 0)
    return np.moveaxis(combine(along[:-1], along[1:]), 0, axis)


def with_neighbours(combine: np.ufunc, blocks: np.ndarray) -> np.ndarray:
    """Every block combined with its 26 neighbours."""
    for axis in range(3):
        along = np.moveaxis(blocks, axis, 0)
        wider = along.copy()
        combine(wider[1:], along[:-1], out=wider[1:])
        combine(wider[:-1], along[1:], out=wider[:-1])
        blocks = np.moveaxis(wider, 0, axis)
    return blocks


def corners(blocks: np.ndarray) -> np.ndarray:
    """The samples [n + 1, n + 1, n + 1] at the corners of blocks [n, n, n]."""
    return over_corners(np.logical_or, np.pad(blocks, 1))
