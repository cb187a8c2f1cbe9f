"""How far apart two shapes are: between their surfaces (Chamfer distance) and between their volumes (IoU)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from trimesh.triangles import closest_point

CANDIDATES = 6


class Surface(Protocol):
    """Triangles: vertices [v, 3] in volume units, faces [f, 3]."""

    @property
    def vertices(self) -> NDArray: ...
    @property
    def faces(self) -> NDArray: ...


@dataclass(frozen=True)
class SurfaceSamples:
    """Points [n, 3] spread evenly over a surface, and the face [n] each lies on."""

    points: NDArray[np.float64]
    faces: NDArray[np.int64]


def sample_surface(mesh: Surface, count: int, seed: int = 0) -> SurfaceSamples:
    """`count` points, uniform by area, from a seeded generator. Raises ValueError for a surface without area."""
    corners = np.asarray(mesh.vertices, dtype=np.float64)[np.asarray(mesh.faces)]
    area = _areas(corners)
    if area.sum() <= 0:
        raise ValueError("a surface without area cannot be sampled")
    rng = np.random.Generator(np.random.Philox(seed))
    edges = np.cumsum(area)
    face = np.minimum(np.searchsorted(edges, rng.random(count) * edges[-1], side="right"), len(area) - 1)
    u, v = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    a, b, c = np.moveaxis(corners[face], 1, 0)
    return SurfaceSamples((1 - u) * a + u * (1 - v) * b + u * v * c, face)


def chamfer_distance(first: Surface, second: Surface, *, count: int = 10_000, seed: int = 0) -> float:
    """Symmetric Chamfer distance in volume units: the mean of both mean distances from samples to the other surface.

    A KD-tree over the other surface's samples finds the nearest faces; the distance is to these triangles, not to the
    samples, so that equal surfaces are at distance 0 however they are sampled. Two empty surfaces are at distance 0,
    an empty and a non-empty one at infinity.
    """
    empty = [len(mesh.faces) == 0 for mesh in (first, second)]
    if any(empty):
        return 0.0 if all(empty) else float("inf")
    samples = [sample_surface(mesh, count, seed) for mesh in (first, second)]
    there = _distances(samples[0].points, second, samples[1]).mean()
    back = _distances(samples[1].points, first, samples[0]).mean()
    return float(there + back) / 2


def volume_iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union of two occupancies on one grid; 1 when both are empty."""
    if first.shape != second.shape:
        raise ValueError(f"occupancies must share a grid, found {first.shape} and {second.shape}")
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0


def _areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def _distances(points: NDArray[np.float64], mesh: Surface, samples: SurfaceSamples) -> NDArray[np.float64]:
    """From points [n, 3] to the surface, looking at the faces of the nearest samples and centroids."""
    corners = np.asarray(mesh.vertices, dtype=np.float64)[np.asarray(mesh.faces)]
    area = _areas(corners)
    solid = np.flatnonzero(area > 1e-12 * area.max())
    anchors = np.concatenate([samples.points, corners[solid].mean(1)])
    faces = np.concatenate([samples.faces, solid])
    nearest = KDTree(anchors).query(points, k=min(CANDIDATES, len(anchors)))[1].reshape(len(points), -1)
    best = np.full(len(points), np.inf)
    for column in nearest.T:
        on_face = closest_point(corners[faces[column]], points)
        best = np.minimum(best, np.linalg.norm(on_face - points, axis=1))
    return best
