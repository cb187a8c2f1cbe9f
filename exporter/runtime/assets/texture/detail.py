"""Normals of the surface that a mesh was simplified from."""

from __future__ import annotations

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.optional import optional

NEIGHBOURS = 4
# Squared distance at which a vertex counts for no more than if it were there.
NEAR = 1e-8


def detail_normals(detail: Mesh, points: np.ndarray, facing: np.ndarray) -> np.ndarray:
    """Unit normals float32 [P, 3] of `detail` where it is nearest to points [P, 3].

    The nearest vertices count by the inverse of their squared distance. One whose normal turns away from `facing`
    [P, 3] lies on the other side of a thin part and does not count; where all do, `facing` itself is given. Raises
    EnvironmentProblem without scipy.
    """
    normals = detail.vertex_normals()
    tree = optional("scipy.spatial").cKDTree(detail.vertices)
    distance, vertex = tree.query(points, k=min(NEIGHBOURS, len(detail.vertices)))
    near = normals[vertex]
    weight = (1.0 / np.maximum(distance**2, NEAR)).astype(np.float32)
    weight[np.einsum("pkc,pc->pk", near, facing) <= 0] = 0
    blended = np.einsum("pk,pkc->pc", weight, near)
    length = np.linalg.norm(blended, axis=1, keepdims=True)
    return np.where(length > 0, blended / np.maximum(length, 1e-20), facing).astype(np.float32)
