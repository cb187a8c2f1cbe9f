"""Fewer triangles for the same shape, by quadric error (fast-simplification)."""

from __future__ import annotations

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.optional import optional
from exporter.runtime.assets.solid.topology import Topology, topology
from exporter.runtime.surface.extract import Colors, colors_at

# How fast the error allowed grows; the package's own first. Another sometimes keeps a mesh closed that it does not.
AGGRESSIVENESS = (7, 6, 8, 5)


def simplify(mesh: Mesh, triangles: int, color: Colors) -> Mesh:
    """A mesh of at most `triangles`, or of a few more where there is no way; the same mesh where it has no more.

    A closed mesh stays closed, with as many handles and parts, or is left as it is. New vertices are coloured by the
    field. Raises EnvironmentProblem without fast-simplification.
    """
    if len(mesh.faces) <= triangles:
        return mesh
    package = optional("fast_simplification", "a mesh of fewer triangles")
    before = topology(mesh)
    for aggressiveness in AGGRESSIVENESS:
        vertices, faces = package.simplify(mesh.vertices, mesh.faces, target_count=triangles, agg=aggressiveness)
        simpler = Mesh(vertices.astype(np.float32), faces.astype(np.int32), np.empty((0, 3), np.float32))
        if not before.is_closed or _same_shape(before, topology(simpler)):
            return Mesh(simpler.vertices, simpler.faces, colors_at(color, simpler.vertices))
    return mesh


def _same_shape(before: Topology, after: Topology) -> bool:
    return after.is_closed and (after.genus, after.components) == (before.genus, before.components)
