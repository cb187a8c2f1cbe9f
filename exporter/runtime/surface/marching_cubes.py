"""Marching cubes (Lorensen and Cline, 1987) in numpy; `web/marching_cubes.js` is the same for JavaScript."""

from __future__ import annotations

import itertools

import numpy as np

from exporter.runtime.surface.cube_table import TRIANGLES

CORNERS = list(itertools.product((0, 1), repeat=3))
EDGE_AXIS = np.repeat(np.arange(3), 4)
# The corner [12, 3] that an edge starts from.
EDGE_FROM = np.array([np.roll([0, u, v], axis) for axis in range(3) for u in (0, 1) for v in (0, 1)])
LENGTH = np.array([len(edges) for edges in TRIANGLES])
START = np.concatenate([[0], np.cumsum(LENGTH)[:-1]])
EDGES = np.array([edge for edges in TRIANGLES for edge in edges])


def marching_cubes(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The zero surface of samples [X, Y, Z], none of which is 0, positive inside: vertices float64 [V, 3] in indices of
    the samples, faces int32 [F, 3] outward.

    One vertex lies on every edge of the lattice whose ends differ in sign, where a line through both is 0. Vertices are
    in the order of their edges' lower ends, faces in that of their cubes. The surface is closed where all samples at
    the border are negative.
    """
    samples = np.ascontiguousarray(samples)
    cubes, case = _cubes_on_the_surface(samples > 0)
    length = LENGTH[case]
    # Of every corner of a triangle, its number among those of its cube.
    number = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    edge = EDGES[np.repeat(START[case], length) + number]
    steps = np.array(samples.strides) // samples.itemsize
    lower = np.repeat(cubes @ steps, length) + (EDGE_FROM @ steps)[edge]
    keys, corners = np.unique(3 * lower + EDGE_AXIS[edge], return_inverse=True)
    at, axis = np.divmod(keys, 3)
    flat = samples.reshape(-1)
    low, high = flat[at].astype(np.float64), flat[at + steps[axis]].astype(np.float64)
    vertices = np.stack(np.unravel_index(at, samples.shape), axis=1).astype(np.float64)
    vertices[np.arange(len(at)), axis] += low / (low - high)
    return vertices, corners.reshape(-1, 3).astype(np.int32)


def _cubes_on_the_surface(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest corners [K, 3] of the cubes with a change of sign, and which corners are inside, as bits [K]."""
    case = np.zeros([side - 1 for side in inside.shape], np.uint8)
    bits = inside.view(np.uint8)
    for number, corner in enumerate(CORNERS):
        case |= bits[tuple(slice(at, at + side) for at, side in zip(corner, case.shape, strict=True))] << number
    flat = case.reshape(-1)
    # 0 and 255 are one lower than 1 and 254 where bytes wrap around.
    at = np.flatnonzero(flat + np.uint8(1) > 1)
    return np.stack(np.unravel_index(at, case.shape), axis=1), flat[at]
