"""Marching cubes over a signed field, asked everywhere or, coarse to fine, only near its surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from exporter.runtime.assets.mesh import Mesh, empty_mesh, srgb_to_linear
from exporter.runtime.surface.marching_cubes import marching_cubes
from exporter.runtime.surface.near_surface import certain_size, sample_near_surface
from exporter.runtime.surface.squash import TANH, Squash

# Marching cubes makes degenerate triangles of samples that are exactly on the surface.
OFF_SURFACE = 1e-5


Colors = Callable[[np.ndarray], np.ndarray]


class Field(NamedTuple):
    """Points [P, 3] to signed distances [P], positive inside, and points to sRGB colours [P, 3].

    `squash`: what the distances went through.
    """

    distance: Callable[[np.ndarray], np.ndarray]
    color: Colors
    squash: Squash = TANH


@dataclass(frozen=True)
class FieldSamples:
    """What was asked of a field for one mesh: signed distances of `points` of the grid³ points of the lattice.

    `certain`: a part or hole with room for a ball of this diameter (the volume is 2 wide) cannot have been missed,
    whatever the field; smaller ones only where the field is steeper than `clearance` assumes. 0 where all was asked.
    """

    grid: int
    points: int
    certain: float

    @property
    def share(self) -> float:
        """Of all points of the lattice."""
        return self.points / self.grid**3

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, the share beside what it is made from."""
        return asdict(self) | {"share": self.share}


OnSampled = Callable[[FieldSamples], None]


def extract_mesh(
    field: Field,
    grid: int = 128,
    exact: bool = False,
    on_sampled: OnSampled | None = None,
    as_openai: bool = False,
) -> Mesh:
    """The zero surface of `field` on a grid³ lattice over [-1, 1]³, closed at the border.

    Lattice, negative border and texturing are those of diffusers' `ShapERenderer.decode_to_mesh`; vertices are placed
    on the lattice that was sampled, where diffusers stretches the bordered lattice over the volume and shrinks the
    object by (grid - 1) / (grid + 1). `as_openai`: shrunk like that, coloured at the shrunk places, and with linear
    colours, as diffusers and OpenAI's code have them. `exact=False` asks only near the surface (what that can miss:
    `near_surface`); colours are asked at the vertices. An empty field gives an empty mesh.
    """
    values, sampling = sample(field.distance, grid, exact, field.squash)
    if on_sampled:
        on_sampled(sampling)
    positive = values > 0
    if not positive.any():
        return empty_mesh()
    box = _box(positive)
    values = values[box]
    values = np.where(values > 0, np.maximum(values, OFF_SURFACE), np.minimum(values, -OFF_SURFACE))
    indices, faces = marching_cubes(np.pad(values, 1, constant_values=-1.0))
    indices += [side.start - 1 for side in box]
    vertices = (indices * (2.0 / (grid - 1)) - 1.0).astype(np.float32)
    if as_openai:
        vertices *= np.float32((grid - 1) / (grid + 1))
        linear = srgb_to_linear(colors_at(field.color, vertices)).astype(np.float32)
        return Mesh(vertices, faces, linear)
    return Mesh(vertices, faces, colors_at(field.color, vertices))


def colors_at(color: Colors, points: np.ndarray) -> np.ndarray:
    """sRGB float32 [P, 3] in [0, 1] of a field's colours; a point [P, 3] past the volume takes those of its border."""
    return np.clip(color(np.clip(points, -1.0, 1.0)), 0.0, 1.0).astype(np.float32)


def sample(
    distance: Callable[[np.ndarray], np.ndarray], grid: int, exact: bool, squash: Squash = TANH
) -> tuple[np.ndarray, FieldSamples]:
    """Signed distances [grid, grid, grid], and what was asked for them."""

    def asked(indices: np.ndarray) -> np.ndarray:
        return distance(grid_points(indices, grid)).astype(np.float32)

    if exact:
        indices = np.indices((grid, grid, grid), dtype=np.int32).reshape(3, -1).T
        return asked(indices).reshape(grid, grid, grid), FieldSamples(grid, grid**3, 0.0)
    values, known = sample_near_surface(asked, grid, squash)
    return values, FieldSamples(grid, int(np.count_nonzero(known)), certain_size(grid))


def grid_points(indices: np.ndarray, grid: int) -> np.ndarray:
    """Lattice indices [P, 3] to points [P, 3] in [-1, 1]³, bit for bit diffusers' `volume_query_points`."""
    return indices.astype(np.float32) / np.float32(grid - 1) * np.float32(2.0) + np.float32(-1.0)


def _box(positive: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds all positive samples and, inside the lattice, one more on each side."""
    sides = []
    for axis in range(3):
        along = np.flatnonzero(positive.any(axis=tuple({0, 1, 2} - {axis})))
        sides.append(slice(max(along[0] - 1, 0), along[-1] + 2))
    return tuple(sides)
