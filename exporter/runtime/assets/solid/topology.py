"""How a mesh hangs together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.connected import connected_components


@dataclass(frozen=True)
class Topology:
    """open_edges: with one triangle; crowded_edges: with more than two; components; volume in the mesh's units, cubed.

    genus: handles of all components together, None where a mesh is not closed.
    """

    open_edges: int
    crowded_edges: int
    components: int
    volume: float
    genus: int | None

    @property
    def is_closed(self) -> bool:
        """Whether every edge has two triangles: a slicer or a physics engine can take the mesh."""
        return self.open_edges == self.crowded_edges == 0


def topology(mesh: Mesh) -> Topology:
    """Counts of a mesh whose vertices are shared by the triangles around them."""
    _, triangles = np.unique(edge_keys(mesh.faces), return_counts=True)
    open_edges, crowded = int((triangles == 1).sum()), int((triangles > 2).sum())
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    count = len(np.unique(component_of_vertices(mesh)[used]))
    characteristic = int(used.sum()) - len(triangles) + len(mesh.faces)
    genus = None if open_edges or crowded else count - characteristic // 2
    return Topology(open_edges, crowded, count, volume(mesh), genus)


def edge_keys(faces: np.ndarray) -> np.ndarray:
    """One number [3F] for each edge of each face [F, 3], the same in both directions."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1)
    return (edges[:, 0] << 32) | edges[:, 1]


def component_of_vertices(mesh: Mesh) -> np.ndarray:
    """The number of its component for every vertex [V]."""
    start, end = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, axis=1).reshape(-1)
    return connected_components(start, end, len(mesh.vertices))


def volume(mesh: Mesh) -> float:
    """What a closed mesh encloses; negative where it is inside out."""
    return float(signed_volumes(mesh).sum())


def signed_volumes(mesh: Mesh) -> np.ndarray:
    """Of every face [F], the volume between it and the origin."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(np.float64), 1, 0)
    return np.einsum("fc,fc->f", a, np.cross(b, c)) / 6.0
