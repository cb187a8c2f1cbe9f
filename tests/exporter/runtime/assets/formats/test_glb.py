from __future__ import annotations

import io
import json

import numpy as np
import trimesh

from exporter.runtime.assets.formats.glb import to_glb
from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.assets.placing import place, y_up
from tests.exporter.runtime.assets.textured import LABEL, MESH, TEXTURE


def glb_of(texture, label=LABEL):
    return to_glb(place(MESH, texture, "y", 1.0), label, "ring.glb")["ring.glb"]


GLB = glb_of(TEXTURE)


def tree_and_arrays(glb):
    """The JSON of a GLB, and the arrays of its only primitive by semantic."""
    length = int.from_bytes(glb[12:16], "little")
    tree = json.loads(glb[20 : 20 + length])
    (primitive,) = tree["meshes"][0]["primitives"]

    def array(index):
        accessor = tree["accessors"][index]
        view = tree["bufferViews"][accessor["bufferView"]]
        start = 28 + length + view["byteOffset"] + accessor.get("byteOffset", 0)
        kind = {5126: np.float32, 5125: np.uint32}[accessor["componentType"]]
        columns = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        return np.frombuffer(glb, kind, accessor["count"] * columns, start).reshape(-1, columns)

    return tree, {name: array(index) for name, index in primitive["attributes"].items()}


def test_vertex_colors_are_linear_with_normals_on_a_surface_that_is_no_metal():
    glb = glb_of(None)
    tree, arrays = tree_and_arrays(glb)
    assert set(arrays) == {"POSITION", "NORMAL", "COLOR_0"}
    assert tree["materials"] == [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}]
    assert tree["meshes"][0]["primitives"][0]["material"] == 0
    assert np.allclose(arrays["COLOR_0"], srgb_to_linear(MESH.colors), atol=1e-6)
    assert glb == glb_of(None, None)


def test_a_textured_file_has_what_a_viewer_needs_and_the_vertex_colors_beside():
    tree, arrays = tree_and_arrays(GLB)
    assert set(arrays) == {"POSITION", "NORMAL", "TANGENT", "TEXCOORD_0", "_COLOR_0"}
    assert np.allclose(arrays["POSITION"], y_up(MESH.vertices)[TEXTURE.vertices])
    assert np.allclose(arrays["TEXCOORD_0"], TEXTURE.uv, atol=1e-6)
    assert np.allclose(arrays["_COLOR_0"], srgb_to_linear(MESH.colors)[TEXTURE.vertices], atol=1e-6)
    assert np.allclose(arrays["TANGENT"][:, :3], y_up(TEXTURE.tangents[:, :3]), atol=1e-6)
    assert np.array_equal(arrays["TANGENT"][:, 3], TEXTURE.tangents[:, 3])
    (material,) = tree["materials"]
    assert material["doubleSided"] is False and "normalTexture" in material
    assert material["pbrMetallicRoughness"] == {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0,
                                                "roughnessFactor": 0.9}  # fmt: skip


def test_it_says_what_it_is_and_what_made_it():
    tree, _ = tree_and_arrays(GLB)
    assert tree["asset"]["extras"] == {"prompt": LABEL.prompt, "seed": 7, "bundle": "d1ge57", "unit": "metre"}
    assert tree["meshes"][0]["name"] == LABEL.prompt
    assert LABEL.prompt in {node["name"] for node in tree["nodes"]}


def test_the_pictures_are_those_of_the_texture():
    scene = trimesh.load(io.BytesIO(GLB), file_type="glb")
    (read,) = scene.geometry.values()
    assert np.array_equal(np.asarray(read.visual.material.baseColorTexture), TEXTURE.base_color)
    assert np.array_equal(np.asarray(read.visual.material.normalTexture), TEXTURE.normal_map)
    places = read.visual.uv * [1, -1] + [0, 1]
    assert np.allclose(np.unique(places, axis=0), np.unique(TEXTURE.uv, axis=0), atol=1e-6)


def test_the_same_mesh_makes_the_same_bytes():
    assert glb_of(TEXTURE) == GLB
