"""Marching cubes over a signed field, asked everywhere or, coarse to fine, only near its surface."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from skimage.measure import marching_cubes

from exporter.runtime.mesh import Mesh, empty_mesh

Field = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

STRIDE = 4
# Marching cubes makes degenerate triangles of samples that are exactly on the surface.
OFF_SURFACE = 1e-5


def extract_mesh(field: Field, grid: int = 128, exact: bool = False) -> Mesh:
    """The zero surface of `field` on a grid³ lattice over [-1, 1]³, closed at the border.

    `field` takes points [P, 3] and gives signed distance [P], positive inside, and sRGB colours [P, 3]. Lattice,
    negative border and texturing are those of diffusers' `ShapERenderer.decode_to_mesh`; vertices are placed on the
    lattice that was sampled, where diffusers stretches the bordered lattice over the volume and shrinks the object
    by (grid - 1) / (grid + 1). `exact=False` samples every fourth point, then all points of the cells that the
    surface crosses, of their neighbours, and of wherever the surface leads from there: only a detached part that
    lies between the coarse samples is missed. An empty field gives an empty mesh.
    """
    values = sample_exact(field, grid) if exact else sample_coarse_to_fine(field, grid)
    if not (values > 0).any():
        return empty_mesh()
    values = np.where(values > 0, np.maximum(values, OFF_SURFACE), np.minimum(values, -OFF_SURFACE))
    bordered = np.pad(values, 1, constant_values=-1.0)
    indices, faces, _, _ = marching_cubes(bordered, 0.0, gradient_direction="ascent")
    vertices = ((indices - 1.0) * (2.0 / (grid - 1)) - 1.0).astype(np.float32)
    _, colors = field(np.clip(vertices, -1.0, 1.0))
    return Mesh(vertices, faces.astype(np.int32), np.clip(colors, 0.0, 1.0).astype(np.float32))


def grid_points(indices: np.ndarray, grid: int) -> np.ndarray:
    """Lattice indices [P, 3] to points [P, 3] in [-1, 1]³, bit for bit diffusers' `volume_query_points`."""
    return indices.astype(np.float32) / np.float32(grid - 1) * np.float32(2.0) + np.float32(-1.0)


def sample_exact(field: Field, grid: int) -> np.ndarray:
    """The field's signed distance [grid, grid, grid] at every lattice point."""
    indices = np.indices((grid, grid, grid), dtype=np.int32).reshape(3, -1).T
    return field(grid_points(indices, grid))[0].astype(np.float32).reshape(grid, grid, grid)


def sample_coarse_to_fine(field: Field, grid: int, stride: int = STRIDE) -> np.ndarray:
    """As `sample_exact` near the surface; elsewhere the nearest coarse sample, which has the right sign."""
    lattice = np.unique(np.append(np.arange(0, grid, stride), grid - 1))
    coarse_indices = np.stack(np.meshgrid(lattice, lattice, lattice, indexing="ij"), axis=-1).reshape(-1, 3)
    coarse = field(grid_points(coarse_indices, grid))[0].astype(np.float32).reshape((len(lattice),) * 3)

    known = np.zeros((grid, grid, grid), np.int8)  # sign of the samples asked so far, 0 where not asked
    known[np.ix_(lattice, lattice, lattice)] = np.where(coarse > 0, 1, -1)
    nearest = np.abs(np.arange(grid)[:, None] - lattice).argmin(axis=1)
    values = coarse[np.ix_(nearest, nearest, nearest)]

    done = np.zeros((len(lattice) - 1,) * 3, bool)
    wanted = _dilate(_crossed(known, lattice))
    while wanted.any():
        indices = np.argwhere(_points_of(wanted, lattice, grid))
        found = field(grid_points(indices, grid))[0].astype(np.float32)
        values[tuple(indices.T)] = found
        known[tuple(indices.T)] = np.where(found > 0, 1, -1)
        done |= wanted
        wanted = _crossed(known, lattice) & ~done
    return values


def _crossed(known: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """The blocks between coarse samples in which both signs are known, with the negative border counted in."""
    lowest, highest = known, known
    for axis in range(3):
        lowest = _reduce(np.minimum, lowest, lattice, axis)
        highest = _reduce(np.maximum, highest, lattice, axis)
    lowest = lowest.copy()
    for axis in range(3):
        np.moveaxis(lowest, axis, 0)[[0, -1]] = -1
    return (lowest < 0) & (highest > 0)


def _reduce(reduction: np.ufunc, values: np.ndarray, lattice: np.ndarray, axis: int) -> np.ndarray:
    inside = reduction.reduceat(values, lattice[:-1], axis=axis)
    return reduction(inside, np.take(values, lattice[1:], axis=axis))


def _dilate(blocks: np.ndarray) -> np.ndarray:
    for axis in range(3):
        moved = np.moveaxis(blocks, axis, 0)
        grown = moved.copy()
        grown[1:] |= moved[:-1]
        grown[:-1] |= moved[1:]
        blocks = np.moveaxis(grown, 0, axis)
    return blocks


def _points_of(blocks: np.ndarray, lattice: np.ndarray, grid: int) -> np.ndarray:
    """Mask [grid, grid, grid] of the lattice points in `blocks`, their far faces included."""
    mask = blocks
    for axis in range(3):
        widths = np.diff(lattice)
        near = np.repeat(mask, widths, axis=axis)
        near = np.concatenate([near, np.zeros_like(np.take(near, [0], axis=axis))], axis=axis)
        far = np.zeros_like(near)
        np.moveaxis(far, axis, 0)[lattice[1:]] = np.moveaxis(mask, axis, 0)
        mask = near | far
    assert mask.shape == (grid, grid, grid)
    return mask
