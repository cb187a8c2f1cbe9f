from __future__ import annotations

import numpy as np

from exporter.runtime.assets.placing import place
from tests.exporter.runtime.assets.textured import MESH, TEXTURE


def test_z_up_is_the_mesh_as_it_is():
    placed = place(MESH, TEXTURE, "z", 1.0)
    assert np.array_equal(placed.vertices, MESH.vertices) and placed.texture is TEXTURE


def test_y_up_turns_points_normals_and_tangents_alike():
    placed = place(MESH, TEXTURE, "y", 2.0)

    def turned(vectors):
        return np.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], axis=1)

    assert np.allclose(placed.vertices, 2 * turned(MESH.vertices))
    assert np.allclose(placed.normals, turned(MESH.vertex_normals()))
    assert np.allclose(placed.texture.normals, turned(TEXTURE.normals))
    assert np.allclose(placed.texture.tangents[:, :3], turned(TEXTURE.tangents[:, :3]))
    assert np.array_equal(placed.texture.tangents[:, 3], TEXTURE.tangents[:, 3])
