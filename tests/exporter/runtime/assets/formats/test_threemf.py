"""What the consortium's own library reads."""

from __future__ import annotations

import locale

import lib3mf
import numpy as np
import pytest

from exporter.runtime.assets.formats.threemf import locale_kept
from exporter.runtime.assets.meshfile import save_mesh
from tests.exporter.runtime.assets.textured import LABEL, MESH


@pytest.fixture
def model(tmp_path):
    save_mesh(MESH, tmp_path / "ring.3mf", label=LABEL, size=0.08)
    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    with locale_kept():
        reader.ReadFromFile(str(tmp_path / "ring.3mf"))
    assert reader.GetWarningCount() == 0
    return model


def only_mesh(model):
    meshes = model.GetMeshObjects()
    assert meshes.MoveNext()
    return meshes.GetCurrentMeshObject()


def test_it_is_a_solid_in_millimetres(model):
    body = only_mesh(model)
    assert model.GetUnit() == lib3mf.ModelUnit.MilliMeter
    assert body.IsManifoldAndOriented() and body.IsValid()
    vertices = np.array([vertex.Coordinates[:] for vertex in body.GetVertices()])
    scale = 80 / np.ptp(MESH.vertices, axis=0).max()
    assert np.allclose(vertices, MESH.vertices * scale, atol=1e-3)
    assert np.array_equal([triangle.Indices[:] for triangle in body.GetTriangleIndices()], MESH.faces)


def test_every_corner_has_the_colour_of_its_vertex(model):
    properties = only_mesh(model).GetAllTriangleProperties()
    groups = model.GetColorGroups()
    assert groups.MoveNext()
    group = groups.GetCurrentColorGroup()
    colors = {
        number: (color.Red, color.Green, color.Blue, color.Alpha)
        for number in group.GetAllPropertyIDs()
        for color in [group.GetColor(number)]
    }
    read = np.array([[colors[number] for number in corner.PropertyIDs] for corner in properties])
    assert np.array_equal(read[..., :3], np.round(MESH.colors * 255)[MESH.faces])
    assert (read[..., 3] == 255).all()
    assert {corner.ResourceID for corner in properties} == {group.GetResourceID()}


def test_it_is_named_and_says_what_made_it(model):
    assert only_mesh(model).GetName() == LABEL.prompt
    facts = model.GetMetaDataGroup()
    told = {facts.GetMetaData(i).GetName(): facts.GetMetaData(i).GetValue() for i in range(facts.GetMetaDataCount())}
    assert told == {"Title": LABEL.prompt, "Description": "seed 7, bundle d1ge57"}


def test_files_are_still_read_as_utf8_afterwards(tmp_path):
    before = locale.setlocale(locale.LC_ALL)
    save_mesh(MESH, tmp_path / "ring.3mf")
    assert locale.setlocale(locale.LC_ALL) == before


def test_the_same_mesh_makes_the_same_bytes(tmp_path):
    for name in ("a.3mf", "b.3mf"):
        save_mesh(MESH, tmp_path / name, label=LABEL)
    assert (tmp_path / "a.3mf").read_bytes() == (tmp_path / "b.3mf").read_bytes()
