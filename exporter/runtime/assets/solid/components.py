"""Parts of a mesh that hang together."""

from __future__ import annotations

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.solid.topology import component_of_vertices, signed_volumes


def drop_small_components(mesh: Mesh, share: float) -> tuple[Mesh, int]:
    """The mesh without the components that have less than this share of the volume, and how many those are.

    A cavity is a component too: a small one is filled. The largest always stays.
    """
    component = component_of_vertices(mesh)[mesh.faces[:, 0]]
    volumes = np.abs(np.bincount(component, signed_volumes(mesh)))
    exists = np.bincount(component, minlength=len(volumes)) > 0
    small = exists & (volumes < share * volumes.sum())
    small[volumes.argmax()] = False
    if not small.any():
        return mesh, 0
    faces = mesh.faces[~small[component]]
    used, renumbered = np.unique(faces, return_inverse=True)
    kept = Mesh(mesh.vertices[used], renumbered.reshape(-1, 3).astype(np.int32), mesh.colors[used])
    return kept, int(small.sum())
