"""Blender itself, headless, from PyPI: it takes the extension, and the files that t3export writes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from exporter.blender.extension import OLDEST_NUMPY
from exporter.runtime.bundle import Bundle
from t3export.cli import run
from tests.t3export.test_fresh_environment import ROOT, make_wheel

pytestmark = pytest.mark.slow
NAME = "toy_cpu"
ASKED = {"prompt": "a red ball", "seed": 3, "quality": "draft"}


@pytest.fixture(scope="session")
def wheels(blender, tmp_path_factory) -> Path:
    """Of t3export-runtime and all that it needs, beside the numpy of the oldest Blender."""
    folder = tmp_path_factory.mktemp("wheels")
    wheel = make_wheel(folder, ROOT / "distributions/runtime")
    command = [blender.python, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "-d", folder / "wheel"]
    subprocess.run([*map(str, command), f"{wheel}[cpu,mesh,tokenizers]", f"numpy=={OLDEST_NUMPY}"], check=True)
    return folder / "wheel"


def test_the_extension_makes_an_object_where_nothing_else_is_installed(blender, wheels, toy_bundle, tmp_path):
    path = tmp_path / "toy.zip"
    assert run(["blender", str(toy_bundle), "--wheels", str(wheels), "-o", str(path)]) == 0
    told = blender("make_object.py", path, NAME, json.dumps(ASKED), user="with_wheels")
    assert told["missing"] == [] and told["ended"] == ["FINISHED"] and not told["torch"]
    assert told["numpy"].startswith("1.")
    (ball,) = told["objects"]
    assert told["by_timer"].startswith("a red ball") and told["meshes"] == 2
    assert "import_scene.gltf" in told["without_importer"] and told["idle"]
    assert ball["location"] == pytest.approx([3, 0, 0], abs=1e-5) and ball["textures"]
    mesh = Bundle.open(toy_bundle).generate("a red ball", seed=3, quality="draft").mesh
    assert ball["size"] == pytest.approx(np.ptp(mesh.vertices, axis=0), rel=0.02)


def test_an_empty_field_is_said_and_leaves_the_scene_alone(blender, wheels, toy_bundle, tmp_path):
    path, asked = tmp_path / "toy.zip", ASKED | {"prompt": "nothing nothing nothing nothing"}
    run(["blender", str(toy_bundle), "--wheels", str(wheels), "-o", str(path)])
    told = blender("make_object.py", path, NAME, json.dumps(asked), user="with_wheels")
    assert "the field is empty" in told["error"] and told["objects"] == []


def test_without_wheels_it_says_what_pip_is_to_install(blender, toy_bundle, tmp_path):
    path = tmp_path / "toy.zip"
    run(["blender", str(toy_bundle), "-o", str(path)])
    told = blender("make_object.py", path, NAME, json.dumps(ASKED), user="without")
    assert told["missing"] == ["t3export_runtime", "onnxruntime", "xatlas", "tokenizers"]
    for word in (str(blender.python), "t3export-runtime[cpu,mesh,tokenizers]", "--target"):
        assert word in told["pip"]


def test_files_come_up_right_in_size_and_in_colour(blender, toy_bundle, tmp_path):
    made = Bundle.open(toy_bundle).generate("a green ball", seed=1, grid=32)
    paths = [tmp_path / f"ball{suffix}" for suffix in (".glb", ".obj", ".usdz", ".stl", ".ply")]
    # Longer along z, so that the axis that is up shows.
    made.mesh.vertices[:, 2] *= 1.5
    for path in paths:
        made.save(path, texture=128 if path.suffix in (".glb", ".obj", ".usdz") else False)
    found = blender("read_files.py", *paths)
    size = np.ptp(made.mesh.vertices, axis=0)
    for suffix, told in found.items():
        scale = 100 / size.max() if suffix == ".stl" else 1.0
        assert np.subtract(told["high"], told["low"]) == pytest.approx(size * scale, rel=0.03), suffix
        if suffix == ".stl":
            continue
        if suffix == ".ply":
            assert told["vertex_colors"]
            continue
        red, green, blue = told["base_color"]
        assert green > 0.5 > max(red, blue) and told["color_space"] == "sRGB", suffix
        assert told["metallic"] == 0, suffix
