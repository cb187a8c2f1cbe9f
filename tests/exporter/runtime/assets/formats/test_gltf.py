from __future__ import annotations

import numpy as np
import trimesh

from exporter.runtime.assets.meshfile import save_mesh
from exporter.runtime.assets.placing import y_up
from tests.exporter.runtime.assets.textured import LABEL, MESH, TEXTURE


def test_arrays_and_pictures_lie_beside_the_text(tmp_path):
    path = tmp_path / "größer 1.gltf"
    assert [file.name for file in save_mesh(MESH, path, TEXTURE, LABEL)] == ["größer 1.gltf", "größer 1.bin"]
    assert b'"uri":"gr%C3%B6%C3%9Fer%201.bin"' in path.read_bytes()


def test_it_is_read_with_its_picture(tmp_path):
    save_mesh(MESH, tmp_path / "ring.gltf", TEXTURE, LABEL)
    (read,) = trimesh.load(tmp_path / "ring.gltf", process=False).geometry.values()
    assert np.allclose(read.triangles, y_up(MESH.vertices)[MESH.faces], atol=1e-6)
    assert np.array_equal(np.asarray(read.visual.material.baseColorTexture), TEXTURE.base_color)
