"""The web client's file of a mesh: no metal, its colours in a picture, as Khronos' validator and trimesh expect it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
import trimesh

from exporter.runtime.assets.formats.matte import METALLIC, ROUGHNESS
from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.assets.placing import y_up
from tests.node import run_node

WRITE = """
import { toGlb } from "./index.js";
import validator from "gltf-validator";
const mesh = { vertices: Float32Array.from(given.vertices), faces: Uint32Array.from(given.faces) };
mesh.colors = Float32Array.from(given.colors);
const glb = toGlb(mesh, given.options);
const length = new DataView(glb.buffer).getUint32(12, true);
const { issues } = await validator.validateBytes(glb);
const tree = JSON.parse(new TextDecoder().decode(glb.subarray(20, 20 + length)));
tell({ tree, issues, glb: Buffer.from(glb).toString("base64") });
"""
REFUSED = """
import { toGlb } from "./index.js";
const corners = Float32Array.from([0, 0, 0, 1, 0, 0, 0, 1, 0]);
const mesh = { vertices: corners, faces: Uint32Array.from([0, 1, 2]), colors: corners };
try { toGlb(mesh, given); } catch (error) { tell(`${error.name}: ${error.message}`); }
"""
MATTE = {"metallicFactor": METALLIC, "roughnessFactor": ROUGHNESS}
BALL = trimesh.creation.icosphere(subdivisions=3, radius=0.7)
COLORS = np.random.default_rng(0).uniform(size=BALL.vertices.shape)


def write(options: Any = None) -> dict[str, Any]:
    given = {"vertices": BALL.vertices, "faces": BALL.faces, "colors": COLORS}
    return run_node(WRITE, {name: part.ravel().tolist() for name, part in given.items()} | {"options": options or {}})


@pytest.fixture(scope="module")
def textured() -> dict[str, Any]:
    return write()


@pytest.fixture(scope="module")
def read(textured: dict[str, Any]) -> trimesh.Trimesh:
    file = io.BytesIO(base64.b64decode(textured["glb"]))
    return trimesh.load(file, file_type="glb", force="mesh", process=False)


def test_the_material_is_matte_as_pythons_and_has_the_picture(textured):
    issues, tree = textured["issues"], textured["tree"]
    assert (issues["numErrors"], issues["numWarnings"], issues["numInfos"]) == (0, 0, 0), issues["messages"]
    surface = {"baseColorTexture": {"index": 0}, **MATTE}
    assert tree["materials"] == [{"pbrMetallicRoughness": surface, "doubleSided": False}]
    assert tree["meshes"][0]["primitives"][0]["material"] == 0
    (sampler,) = tree["samplers"]
    nearest = 9728
    assert sampler["magFilter"] == sampler["minFilter"] == nearest


def test_the_picture_has_at_the_centre_of_a_triangle_the_mean_of_its_corners(read):
    picture = np.asarray(read.visual.material.baseColorTexture.convert("RGB"))
    height, width, _ = picture.shape
    centres = read.visual.uv[read.faces].mean(axis=1)
    across, down = (centres[:, 0] * width).astype(int), ((1 - centres[:, 1]) * height).astype(int)
    expected = COLORS[BALL.faces].mean(axis=1)
    assert np.abs(picture[down, across] / 255 - expected).max() <= 1 / 255 + 1e-6


def test_the_triangles_are_the_meshs_and_the_vertices_keep_their_colours_unmultiplied(textured, read):
    assert np.allclose(read.triangles, y_up(BALL.vertices)[BALL.faces], atol=1e-6)
    assert "COLOR_0" not in textured["tree"]["meshes"][0]["primitives"][0]["attributes"]
    kept = read.vertex_attributes["_COLOR_0"][read.faces]
    assert np.allclose(kept, srgb_to_linear(COLORS)[BALL.faces], atol=1e-6)


def test_without_a_texture_the_vertices_are_coloured_and_not_split():
    found = write({"texture": "none"})
    tree = found["tree"]
    assert (found["issues"]["numErrors"], found["issues"]["numWarnings"], found["issues"]["numInfos"]) == (0, 0, 0)
    assert tree["materials"] == [{"pbrMetallicRoughness": MATTE}] and not {"textures", "images"} & tree.keys()
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    assert attributes.keys() == {"POSITION", "NORMAL", "COLOR_0"}
    assert tree["accessors"][attributes["COLOR_0"]]["count"] == len(BALL.vertices)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texture": "atlas"}, 'RangeError: texture: no "atlas"; allowed: none, palette'),
        ({"texture": False}, "RangeError: texture: no false; allowed: none, palette"),
        ({"textures": "none"}, 'RangeError: no option "textures"; allowed: texture'),
    ],
)
def test_another_texture_or_option_is_refused(options, message):
    assert run_node(REFUSED, options) == message
