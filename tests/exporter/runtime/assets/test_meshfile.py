from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh
from diffusers.pipelines.shap_e.renderer import _convert_srgb_to_linear
from PIL import Image
from torch import from_numpy

from exporter.errors import EnvironmentProblem, RecipeError
from exporter.runtime.assets import optional
from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.assets.meshfile import metres_per_unit, save_mesh
from exporter.runtime.assets.pictures import mesh_picture, png, turntable_gif
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.assets import textured
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
    read = trimesh.load(path, process=False, force="mesh", skip_materials=True)
    assert read.is_watertight and len(read.faces) == len(MESH.faces)
    assert np.allclose(IMPORTED[suffix.lower()](read.vertices), MESH.vertices, atol=1e-6)
    assert read.volume > 0
    colors = srgb_to_linear(MESH.colors) if suffix.lower() == ".glb" else MESH.colors
    assert np.allclose(read.visual.vertex_colors[:, :3] / 255, colors, atol=1 / 255)


def test_a_converter_keeps_the_colors_of_a_glb_whose_material_it_leaves_out(tmp_path):
    save_mesh(MESH, tmp_path / "ring.glb")
    read = trimesh.load(tmp_path / "ring.glb", process=False, force="mesh", skip_materials=True)
    read.export(tmp_path / "converted.ply")
    converted = trimesh.load(tmp_path / "converted.ply", process=False, force="mesh")
    assert np.allclose(converted.visual.vertex_colors[:, :3] / 255, srgb_to_linear(MESH.colors), atol=1 / 255)


def test_a_reader_that_takes_the_material_finds_the_colors_beside_it(tmp_path):
    save_mesh(MESH, tmp_path / "ring.glb")
    (read,) = trimesh.load(tmp_path / "ring.glb", process=False).geometry.values()
    assert read.visual.material.metallicFactor == 0
    assert np.allclose(read.visual.vertex_attributes["color"][:, :3], srgb_to_linear(MESH.colors), atol=1e-6)


def test_linear_light_is_that_of_diffusers():
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    assert np.allclose(srgb_to_linear(values), _convert_srgb_to_linear(from_numpy(values)).numpy(), atol=1e-7)


@pytest.mark.parametrize(("suffix", "size"), [(".glb", None), (".stl", 0.1), (".3mf", 0.1)])
def test_what_a_unit_of_the_model_is_where_no_size_is_wanted(suffix, size):
    longest = float(np.ptp(MESH.vertices, axis=0).max())
    expected = 1.0 if size is None else size / longest
    assert metres_per_unit(Path(f"x{suffix}"), MESH, None) == pytest.approx(expected)
    assert metres_per_unit(Path(f"x{suffix}"), MESH, 0.08) * longest == pytest.approx(0.08)


@pytest.mark.parametrize(("suffix", "extra"), [(".3mf", "mesh"), (".usda", "usd"), (".usdz", "usd")])
def test_a_format_without_its_package_is_refused_with_the_extra(tmp_path, monkeypatch, suffix, extra):
    monkeypatch.setattr(optional, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=rf"pip install 't3export\[{extra}\]'"):
        save_mesh(MESH, tmp_path / f"x{suffix}")


def test_another_suffix_is_refused_with_those_there_are():
    with pytest.raises(RecipeError, match=r"allowed: \.3mf, \.glb, .*; did you mean '\.obj'"):
        save_mesh(MESH, Path("chair.ob"))


def test_a_texture_needs_a_format_that_carries_it(tmp_path):
    with pytest.raises(RecipeError, match=r"a '.ply' file carries no texture; \.glb, .* do"):
        save_mesh(textured.MESH, tmp_path / "x.ply", textured.TEXTURE)


def test_an_axis_against_the_specification_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"in a '.glb' file y is up, by its specification; free in: \.obj, \.ply, "):
        save_mesh(MESH, tmp_path / "x.glb", up="z")
    save_mesh(MESH, tmp_path / "x.glb", up="y")


@pytest.mark.parametrize(("suffix", "up"), [(".ply", None), (".ply", "y"), (".obj", "z"), (".obj", "y")])
def test_size_and_axis_are_as_wanted(tmp_path, suffix, up):
    path = tmp_path / f"ring{suffix}"
    save_mesh(MESH, path, size=0.08, up=up)
    sides = np.ptp(trimesh.load(path, process=False).vertices, axis=0)
    assert sides.max() == pytest.approx(0.08, rel=1e-5)
    assert sides.argmin() == (1 if up == "y" else 2)  # a ring lies flat


def test_a_turntable_turns():
    gif = Image.open(io.BytesIO(turntable_gif(MESH, size=32, frames=6)))
    assert (gif.n_frames, gif.size, gif.info["loop"]) == (6, (32, 32), 0)


def test_a_picture_is_a_png():
    picture = mesh_picture(MESH, 40)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)
