from __future__ import annotations

import numpy as np
import trimesh

from exporter.runtime.assets.meshfile import save_mesh
from tests.exporter.runtime.assets.textured import LABEL, MESH, TEXTURE


def test_a_textured_object_is_read_with_its_picture(tmp_path):
    path = tmp_path / "a red ring.obj"
    files = save_mesh(MESH, path, TEXTURE, LABEL, up="z")
    assert [file.name for file in files] == [
        "a red ring.obj", "a_red_ring.png", "a_red_ring_normal.png", "a_red_ring.mtl"
    ]  # fmt: skip
    read = trimesh.load(path, process=False)
    assert np.allclose(read.triangles, MESH.vertices[MESH.faces], atol=1e-6)
    assert np.array_equal(np.asarray(read.visual.material.image), TEXTURE.base_color)
    assert np.allclose(read.visual.uv[read.faces] * [1, -1] + [0, 1], TEXTURE.uv[TEXTURE.faces], atol=1e-6)
    assert np.allclose(read.vertex_normals[read.faces], TEXTURE.normals[TEXTURE.faces], atol=1e-4)


def test_vertices_are_shared_along_seams(tmp_path):
    save_mesh(MESH, tmp_path / "ring.obj", TEXTURE)
    lines = (tmp_path / "ring.obj").read_text().splitlines()
    counts = [sum(line.startswith(start) for line in lines) for start in ("v ", "vt ", "vn ", "f ")]
    assert counts == [len(MESH.vertices), len(TEXTURE.uv), len(TEXTURE.uv), len(MESH.faces)]


def test_the_material_has_its_maps_and_the_object_its_name(tmp_path):
    save_mesh(MESH, tmp_path / "ring.obj", TEXTURE, LABEL)
    material = (tmp_path / "ring.mtl").read_text().splitlines()
    assert {"map_Kd ring.png", "norm ring_normal.png", "Pr 0.9", "Pm 0"} <= set(material)
    assert f"o {LABEL.prompt}" in (tmp_path / "ring.obj").read_text(encoding="utf-8").splitlines()
