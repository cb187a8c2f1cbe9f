"""Files of points, read again by others."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import trimesh

from exporter.errors import RecipeError
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.assets.pointfile import save_points
from exporter.runtime.assets.points import PointCloud
from tests.exporter.runtime.assets.formats.test_gltf_validator import validated
from tests.node import run_node

DRAWN = np.random.default_rng(0)
CLOUD = PointCloud(DRAWN.uniform(-1, 1, (50, 3)).astype(np.float32), DRAWN.uniform(0, 1, (50, 3)).astype(np.float32))
LABEL = Label("a swarm of bees", 7, "d1gest")
GLB = """
import { pointsToGlb } from "./index.js";
const { positions, colors } = given;
tell([...pointsToGlb({ positions: Float32Array.from(positions), colors: Float32Array.from(colors) })]);
"""


def accessors(content):
    """Every accessor of a GLB as an array, and its tree."""
    length = struct.unpack_from("<I", content, 12)[0]
    header, binary = json.loads(content[20 : 20 + length]), content[28 + length :]
    views = [header["bufferViews"][one["bufferView"]] for one in header["accessors"]]
    parts = [np.frombuffer(binary, "<f4", view["byteLength"] // 4, view["byteOffset"]) for view in views]
    return [part.reshape(-1, 3) for part in parts], header


def test_a_ply_has_z_up_and_colours_in_bytes(tmp_path):
    save_points(CLOUD, tmp_path / "swarm.ply")
    read = trimesh.load(tmp_path / "swarm.ply")
    assert isinstance(read, trimesh.PointCloud)
    assert np.allclose(read.vertices, CLOUD.positions)
    assert np.abs(read.colors[:, :3] / 255 - CLOUD.colors).max() < 0.5 / 255 + 1e-6


def test_a_glb_has_points_with_y_up_and_linear_colours(tmp_path):
    path = tmp_path / "swarm.GLB"
    save_points(CLOUD, path, LABEL)
    (positions, colors), tree = accessors(path.read_bytes())
    x, y, z = CLOUD.positions.T
    assert np.array_equal(positions, np.stack([x, z, -y], axis=1))
    assert np.allclose(colors, srgb_to_linear(CLOUD.colors))
    (primitive,) = tree["meshes"][0]["primitives"]
    assert primitive["mode"] == 0 and "material" not in primitive
    assert tree["asset"]["extras"] == LABEL.to_dict() | {"unit": "metre"}


def test_khronos_finds_no_fault_in_it(tmp_path):
    save_points(CLOUD, tmp_path / "swarm.glb", LABEL)
    report = validated(tmp_path / "swarm.glb")
    issues = report["issues"]
    assert (issues["numErrors"], issues["numWarnings"], issues["numInfos"]) == (0, 0, 0), issues["messages"]
    assert report["info"]["totalVertexCount"] == 50 and report["info"]["drawCallCount"] == 1


def test_the_web_clients_file_holds_the_same(tmp_path):
    save_points(CLOUD, tmp_path / "swarm.glb")
    ours, tree = accessors((tmp_path / "swarm.glb").read_bytes())
    given = {"positions": CLOUD.positions.ravel().tolist(), "colors": CLOUD.colors.ravel().tolist()}
    theirs, other = accessors(bytes(run_node(GLB, given)))
    assert np.allclose(ours, theirs, atol=1e-6) and other["meshes"] == tree["meshes"]


def test_the_size_and_the_axis_are_those_asked_for(tmp_path):
    path = tmp_path / "swarm.ply"
    save_points(CLOUD, path, size=0.08, up="y")
    read = trimesh.load(path).vertices
    assert np.ptp(read, axis=0).max() == pytest.approx(0.08)
    scale = 0.08 / np.ptp(CLOUD.positions, axis=0).max()
    assert np.allclose(read[:, 1], CLOUD.positions[:, 2] * scale, atol=1e-6)
    with pytest.raises(RecipeError, match=r"in a '\.glb' file y is up"):
        save_points(CLOUD, tmp_path / "swarm.glb", up="z")


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"no file of points ends in '\.obj'; allowed: \.glb, \.ply"):
        save_points(CLOUD, tmp_path / "swarm.obj")
    assert not list(tmp_path.iterdir())
