"""A mesh as manifold3d has it: every edge with two triangles, one in each direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.optional import optional


def solid_of(mesh: Mesh) -> Any | None:
    """The manifold3d.Manifold of a mesh with its colours; None where some edge has not as many triangles in one
    direction as in the other. Raises EnvironmentProblem without manifold3d."""
    package = optional("manifold3d")
    properties = np.hstack([mesh.vertices, mesh.colors]).astype(np.float32)
    solid = package.Manifold(package.Mesh(properties, mesh.faces.astype(np.uint32)))
    return solid if solid.status() == package.Error.NoError and not solid.is_empty() else None


def mesh_of_solid(solid: Any) -> Mesh:
    """The mesh of a Manifold that `solid_of` made."""
    made = solid.to_mesh()
    properties, faces = np.asarray(made.vert_properties), np.asarray(made.tri_verts)
    return Mesh(properties[:, :3].astype(np.float32), faces.astype(np.int32), properties[:, 3:6].astype(np.float32))
