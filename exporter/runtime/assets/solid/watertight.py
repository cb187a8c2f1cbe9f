"""Meshes closed, as slicers and physics engines want them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from exporter.errors import T3Error
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.solid.manifold import mesh_of_solid, solid_of
from exporter.runtime.assets.solid.topology import topology


@dataclass(frozen=True)
class Closing:
    """What was done: holes filled, the open edges around them, edges at which sheets were taken apart."""

    holes: int
    open_edges: int
    crowded_edges: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def make_watertight(mesh: Mesh) -> tuple[Mesh, Closing]:
    """A mesh that manifold3d takes for a solid, and what had to be done for it; nothing to do leaves it as it is.

    Raises T3Error where the directions of its triangles contradict one another, EnvironmentProblem without manifold3d.
    """
    before = topology(mesh)
    holes = _loops(mesh.faces) if before.open_edges else []
    filled = _filled(mesh, holes) if holes else mesh
    solid = solid_of(filled)
    if solid is None:
        raise T3Error(
            f"the mesh cannot be closed: {before.open_edges} open edges, {before.crowded_edges} with more than two "
            "triangles, and the directions of its triangles contradict one another; leave out --watertight"
        )
    closing = Closing(len(holes), before.open_edges, before.crowded_edges)
    return filled if topology(filled).is_closed else mesh_of_solid(solid), closing


def _loops(faces: np.ndarray) -> list[list[int]]:
    """The edges of holes as closed walks over vertices, in the direction of the triangles around them."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    there = {(start, end) for start, end in edges}
    following: dict[int, list[int]] = {}
    for start, end in edges:
        if (end, start) not in there:
            following.setdefault(start, []).append(end)
    loops = []
    for start in list(following):
        while following[start]:
            loop = [start]
            while following.get(loop[-1]):
                step = following[loop[-1]].pop()
                if step == start:
                    loops.append(loop)
                    break
                loop.append(step)
    return loops


def _filled(mesh: Mesh, holes: list[list[int]]) -> Mesh:
    """A fan of triangles around the middle of every hole."""
    vertices, colors, faces = [mesh.vertices], [mesh.colors], [mesh.faces]
    for number, hole in enumerate(holes):
        middle = len(mesh.vertices) + number
        vertices.append(mesh.vertices[hole].mean(axis=0, keepdims=True))
        colors.append(mesh.colors[hole].mean(axis=0, keepdims=True))
        start, end = np.array(hole), np.roll(hole, -1)
        faces.append(np.stack([end, start, np.full(len(hole), middle)], axis=1).astype(np.int32))
    return Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(colors))
