"""Where a radiance field is opaque at all: rays that meet no such place show the background and need no samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporter.runtime.surface.lattice import over_corners, with_neighbours

GRID = 49


def occupied_cells(density: Callable[[np.ndarray], np.ndarray], grid: int = GRID) -> np.ndarray:
    """The cells [grid - 1]³ of a lattice over [-1, 1]³ with density at a corner of theirs or of a neighbour's.

    `density` takes points [P, 3] and gives [P]. What is thinner than a cell and lies between the samples is not seen.
    """
    along = np.linspace(-1, 1, grid, dtype=np.float32)
    points = np.stack(np.meshgrid(along, along, along, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = over_corners(np.logical_or, (density(points) > 0).reshape(grid, grid, grid))
    return with_neighbours(np.logical_or, cells)


def rays_that_meet(cells: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Which of the rays [R, 2, 3] (origin, unit direction) pass through one of the cells.

    Looked at about four times a cell along the ray, so that only a corner's tip is passed over.
    """
    side = len(cells)
    origins, directions = rays[:, 0], rays[:, 1]
    middle = -np.einsum("rc,rc->r", origins, directions)  # where the ray is nearest to the volume's middle
    met = np.zeros(len(rays), bool)
    for offset in np.linspace(-(3**0.5), 3**0.5, 4 * side, dtype=np.float32):
        depth = middle + offset
        points = origins + depth[:, None] * directions
        inside = (np.abs(points) <= 1).all(axis=1) & (depth > 0) & ~met
        index = np.minimum(((points[inside] + 1) * (side / 2)).astype(np.int32), side - 1)
        met[inside] = cells[tuple(index.T)]
    return met
