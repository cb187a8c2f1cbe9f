"""STL files of the client, beside those that Python writes."""

from __future__ import annotations

import base64
import io

import numpy as np
import trimesh

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.meshfile import save_mesh
from tests.node import run_node

SCRIPT = """
import { toStl } from "./stl.js";
try {
  const mesh = { vertices: Float32Array.from(given.vertices), faces: Uint32Array.from(given.faces) };
  tell(Buffer.from(toStl(mesh)).toString("base64"));
} catch (error) { tell(`${error.name}: ${error.message}`); }
"""


def test_the_triangles_are_those_of_pythons_file(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.4)
    vertices = np.float32(ball.vertices * [1, 0.5, 2])
    mesh = Mesh(vertices, ball.faces.astype(np.int32), np.full_like(vertices, 0.5))
    save_mesh(mesh, tmp_path / "ball.stl")
    told = run_node(SCRIPT, {"vertices": vertices.ravel().tolist(), "faces": ball.faces.ravel().tolist()})
    found = trimesh.load(io.BytesIO(base64.b64decode(told)), file_type="stl")
    expected = trimesh.load(tmp_path / "ball.stl")
    assert np.allclose(found.triangles, expected.triangles, atol=1e-4)
    assert np.allclose(found.face_normals, expected.face_normals, atol=1e-5)


def test_an_empty_mesh_is_refused():
    assert run_node(SCRIPT, {"vertices": [], "faces": []}).startswith("RangeError: the mesh is empty")
