"""What OpenUSD reads, and what its own validators say."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from pxr import Ar, Usd, UsdGeom, UsdShade, UsdValidation

from exporter.runtime.assets.meshfile import save_mesh
from exporter.runtime.assets.placing import y_up
from tests.exporter.runtime.assets.textured import LABEL, MESH, TEXTURE


@pytest.fixture(params=["ring.usda", "ring.usdz"])
def path(request, tmp_path):
    save_mesh(MESH, tmp_path / request.param, TEXTURE, LABEL, size=0.5)
    return tmp_path / request.param


def complaints(path):
    """Of every validator that ships with OpenUSD, as usdchecker runs them."""
    registry = UsdValidation.ValidationRegistry()
    validators = registry.GetOrLoadAllValidators()
    assert len(validators) > 20
    found = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    return [(error.GetName(), error.GetMessage()) for error in found]


def test_its_validators_have_nothing_to_say(path):
    assert complaints(path) == []


def test_nor_of_a_mesh_with_vertex_colours(tmp_path):
    save_mesh(MESH, tmp_path / "plain.usdz")
    assert complaints(tmp_path / "plain.usdz") == []


def test_a_mistake_would_be_told(tmp_path):
    save_mesh(MESH, tmp_path / "ring.usda", TEXTURE)
    (tmp_path / "ring_normal.png").unlink()
    text = (tmp_path / "ring.usda").read_text().replace('defaultPrim = "object"', "").replace("raw", "sRGB")
    (tmp_path / "ring.usda").write_text(text)
    assert len(complaints(tmp_path / "ring.usda")) >= 2


def test_the_mesh_is_closed_in_metres_and_upright(path):
    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/object/mesh"))
    points = np.array(mesh.GetPointsAttr().Get())
    assert np.allclose(points, y_up(MESH.vertices) * 0.5 / np.ptp(MESH.vertices, axis=0).max(), atol=1e-6)
    assert np.array_equal(np.array(mesh.GetFaceVertexIndicesAttr().Get()), MESH.faces.reshape(-1))
    assert mesh.GetSubdivisionSchemeAttr().Get() == "none"
    places = UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st")
    expected = (TEXTURE.uv * [1, -1] + [0, 1])[TEXTURE.faces.reshape(-1)]
    assert np.allclose(np.array(places.ComputeFlattened()), expected, atol=1e-6)


def test_the_material_shows_the_pictures(path):
    stage = Usd.Stage.Open(str(path))
    material, _ = UsdShade.MaterialBindingAPI(stage.GetPrimAtPath("/object/mesh")).ComputeBoundMaterial()
    surface = material.ComputeSurfaceSource()[0]
    for name, space, picture in (("diffuseColor", "sRGB", TEXTURE.base_color), ("normal", "raw", TEXTURE.normal_map)):
        source = UsdShade.Shader(surface.GetInput(name).GetConnectedSources()[0][0].source)
        assert source.GetInput("sourceColorSpace").Get() == space
        file = Ar.GetResolver().OpenAsset(Ar.ResolvedPath(source.GetInput("file").Get().resolvedPath))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(bytes(file.GetBuffer())))), picture)


def test_it_says_what_it_is_and_what_made_it(path):
    stage = Usd.Stage.Open(str(path))
    assert stage.GetDefaultPrim().GetDisplayName() == LABEL.prompt
    told = stage.GetRootLayer().customLayerData
    assert told == {"prompt": LABEL.prompt, "seed": "7", "bundle": "d1ge57"}


def test_a_package_does_not_keep_the_time_it_was_made(tmp_path):
    save_mesh(MESH, tmp_path / "ring.usdz", TEXTURE)
    with zipfile.ZipFile(tmp_path / "ring.usdz") as package:
        assert len(package.infolist()) == 3
        assert {member.date_time[:2] for member in package.infolist()} == {(1980, 1)}
