"""Fewer triangles for the same shape, by quadric error (fast-simplification)."""

from __future__ import annotations

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.optional import optional
from exporter.runtime.assets.solid.manifold import mesh_of_solid, solid_of
from exporter.runtime.assets.solid.topology import topology
from exporter.runtime.surface.extract import Colors, colors_at

# How fast the error allowed grows; the package's own first. The other sometimes keeps a mesh closed that it does not.
AGGRESSIVENESS = (7, 5)


def simplify(mesh: Mesh, triangles: int, color: Colors) -> Mesh:
    """A mesh of at most `triangles`, or of a few more where there is no way; the same mesh where it has no more.

    A closed mesh stays closed. New vertices are coloured by the field. Raises EnvironmentProblem without
    fast-simplification or, for a mesh that it cannot keep closed, manifold3d.
    """
    if len(mesh.faces) <= triangles:
        return mesh
    attempts = []
    must_close = topology(mesh).is_closed
    for aggressiveness in AGGRESSIVENESS:
        attempts.append(_simplified(mesh, triangles, aggressiveness))
        if not must_close or topology(attempts[-1]).is_closed:
            return _colored(attempts[-1], color)
    # Edges where sheets of the surface have met: manifold3d gives each sheet its own.
    solid = solid_of(attempts[0])
    return _colored(mesh_of_solid(solid), color) if solid else mesh


def _simplified(mesh: Mesh, triangles: int, aggressiveness: int) -> Mesh:
    package = optional("fast_simplification")
    vertices, faces = package.simplify(mesh.vertices, mesh.faces, target_count=triangles, agg=aggressiveness)
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), np.zeros((len(vertices), 3), np.float32))


def _colored(mesh: Mesh, color: Colors) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces, colors_at(color, mesh.vertices))
