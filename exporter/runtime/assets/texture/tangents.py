"""Tangents of a textured mesh as MikkTSpace makes them, which glTF prescribes, and normals seen from them."""

from __future__ import annotations

import numpy as np

TINY = 1e-20


def vertex_tangents(points: np.ndarray, normals: np.ndarray, uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit tangents towards +u and the sign of the bitangent, float32 [W, 4].

    points and unit normals [W, 3], uv [W, 2] with v downwards, faces [F, 3]. The bitangent, sign * cross(normal,
    tangent), points up in the picture. Each corner counts by its angle, as in MikkTSpace (Morten Mikkelsen, 2008).
    """
    corners = points[faces].astype(np.float64)
    places = uv[faces].astype(np.float64)
    (first, second), (du, dv) = _edges(corners), _edges(places)
    along = first * dv[:, 1, None] - second * du[:, 1, None]
    area = du[:, 0] * dv[:, 1] - du[:, 1] * dv[:, 0]
    along *= np.where(area < 0, -1.0, 1.0)[:, None]

    summed = np.zeros((len(points), 3))
    for corner in range(3):
        vertex = faces[:, corner]
        here, after, before = (corners[:, (corner + step) % 3] for step in (0, 1, 2))
        normal = normals[vertex].astype(np.float64)
        angle = _angle(_flat(after - here, normal), _flat(before - here, normal))
        _add(summed, vertex, _flat(along, normal) * angle[:, None])
    tangents = _unit(_flat(summed, normals.astype(np.float64)))
    lost = (tangents == 0).all(axis=1)
    tangents[lost] = _across(normals[lost])

    mirrored = np.zeros(len(points))
    np.add.at(mirrored, faces.reshape(-1), np.repeat(np.sign(area), 3))
    # v grows downwards: where u, v and the outside are right-handed, the bitangent is against cross(normal, tangent).
    sign = np.where(mirrored > 0, -1.0, 1.0)
    return np.concatenate([tangents, sign[:, None]], axis=1).astype(np.float32)


def seen_from(normals: np.ndarray, frame_normals: np.ndarray, tangents: np.ndarray) -> np.ndarray:
    """Unit normals [T, 3] in the coordinates of interpolated frames: x along the tangent [T, 4], z along the normal.

    A shader that interpolates the same normals and tangents makes the same normals of them again.
    """
    up, along = _unit(frame_normals), _unit(tangents[:, :3])
    bitangent = np.cross(up, along) * np.where(tangents[:, 3:] < 0, -1, 1).astype(np.float32)
    lean, n_up, n_along = _dot(up, along), _dot(normals, up), _dot(normals, along)
    upright = np.maximum(1 - lean**2, 1e-6)
    x = (n_along - lean * n_up) / upright
    y = _dot(normals, bitangent) / upright
    z = (n_up - lean * n_along) / upright
    return _unit(np.stack([x, y, z], axis=1))


def _edges(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]


def _flat(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Unit vectors, projected on the planes of unit normals."""
    return _unit(vectors - normals * _dot(vectors, normals)[:, None])


def _angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip(_dot(first, second), -1.0, 1.0))


def _across(normals: np.ndarray) -> np.ndarray:
    """Some unit vector at a right angle to each normal."""
    axis = np.eye(3)[np.abs(normals).argmin(axis=1)]
    return _unit(np.cross(normals, axis))


def _add(summed: np.ndarray, vertex: np.ndarray, values: np.ndarray) -> None:
    for axis in range(3):
        summed[:, axis] += np.bincount(vertex, values[:, axis], len(summed))


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.sqrt(_dot(vectors, vectors))[:, None]
    return vectors / np.maximum(length, TINY)


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", first, second)
