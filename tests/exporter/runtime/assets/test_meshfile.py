from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from diffusers.pipelines.shap_e.renderer import _convert_srgb_to_linear
from PIL import Image
from torch import from_numpy

from exporter.errors import RecipeError
from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.assets.meshfile import save_mesh, to_glb
from exporter.runtime.assets.pictures import mesh_picture, png, turntable_gif
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import torus

MESH = extract_mesh(torus, 24)


def from_y_up(points):
    """What Blender makes of a file whose forward axis is -z and whose up axis is y."""
    return points[:, [0, 2, 1]] * [1, -1, 1]


# Blender's axes (forward y, up z) of each format's, as its importers take them by default.
IMPORTED = {".glb": from_y_up, ".obj": from_y_up, ".ply": lambda points: points}


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj", ".GLB"])
def test_a_mesh_written_and_read_again_is_the_same(tmp_path, suffix):
    path = tmp_path / f"ring{suffix}"
    save_mesh(MESH, path)
    read = trimesh.load(path, process=False, force="mesh")
    assert read.is_watertight and len(read.faces) == len(MESH.faces)
    assert np.allclose(IMPORTED[suffix.lower()](read.vertices), MESH.vertices, atol=1e-6)
    assert read.volume > 0
    colors = srgb_to_linear(MESH.colors) if suffix.lower() == ".glb" else MESH.colors
    assert np.allclose(read.visual.vertex_colors[:, :3] / 255, colors, atol=1 / 255)


def test_a_converter_keeps_the_colors_of_a_glb(tmp_path):
    save_mesh(MESH, tmp_path / "ring.glb")
    trimesh.load(tmp_path / "ring.glb", process=False, force="mesh").export(tmp_path / "converted.ply")
    converted = trimesh.load(tmp_path / "converted.ply", process=False, force="mesh")
    assert np.allclose(converted.visual.vertex_colors[:, :3] / 255, srgb_to_linear(MESH.colors), atol=1 / 255)


def test_glb_has_linear_colors_and_normals():
    glb = to_glb(MESH)
    length = int.from_bytes(glb[12:16], "little")
    tree = json.loads(glb[20 : 20 + length])
    (primitive,) = tree["meshes"][0]["primitives"]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "COLOR_0"}
    accessor = tree["accessors"][primitive["attributes"]["COLOR_0"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    start = 20 + length + 8 + view["byteOffset"]
    colors = np.frombuffer(glb[start : start + view["byteLength"]], np.float32).reshape(-1, 3)
    assert np.allclose(colors, srgb_to_linear(MESH.colors), atol=1e-6)
    assert glb == to_glb(MESH)


def test_linear_light_is_that_of_diffusers():
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    assert np.allclose(srgb_to_linear(values), _convert_srgb_to_linear(from_numpy(values)).numpy(), atol=1e-7)


def test_another_suffix_is_refused_with_those_there_are():
    with pytest.raises(RecipeError, match=r"allowed: \.glb, \.obj, \.ply; did you mean '\.glb'"):
        save_mesh(MESH, Path("chair.gltf"))


def test_a_turntable_turns():
    gif = Image.open(io.BytesIO(turntable_gif(MESH, size=32, frames=6)))
    assert (gif.n_frames, gif.size, gif.info["loop"]) == (6, (32, 32), 0)


def test_a_picture_is_a_png():
    picture = mesh_picture(MESH, 40)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)
