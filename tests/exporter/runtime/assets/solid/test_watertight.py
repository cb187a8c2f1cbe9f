from __future__ import annotations

import numpy as np
import pytest

from exporter.errors import EnvironmentProblem, T3Error
from exporter.runtime.assets import optional
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.solid.topology import topology
from exporter.runtime.assets.solid.watertight import Closing, make_watertight
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import torus

MESH = extract_mesh(torus, 32)


def without(faces):
    return Mesh(MESH.vertices, np.delete(MESH.faces, faces, axis=0), MESH.colors)


def test_a_closed_mesh_is_left_as_it_is():
    made, closing = make_watertight(MESH)
    assert made is MESH and closing == Closing(0, 0, 0)


def test_holes_are_filled_and_counted():
    around = np.flatnonzero((MESH.faces == MESH.faces[0, 0]).any(axis=1))
    far = int(np.abs(MESH.vertices[MESH.faces[:, 0]] + MESH.vertices[MESH.faces[0, 0]]).sum(axis=1).argmin())
    made, closing = make_watertight(without([*around, far]))
    assert closing == Closing(holes=2, open_edges=len(around) + 3, crowded_edges=0)
    assert topology(made).is_closed and topology(made).genus == 1
    assert topology(made).volume == pytest.approx(topology(MESH).volume, rel=0.01)
    assert np.allclose(made.colors[-2:], torus.color(made.vertices[-2:]), atol=0.05)


def test_two_holes_that_meet_in_a_vertex_are_filled():
    first = MESH.faces[0]
    at_corner = np.flatnonzero((MESH.faces == first[0]).any(axis=1))
    apart = next(face for face in at_corner if len(set(MESH.faces[face]) & set(first)) == 1)
    made, closing = make_watertight(without([0, apart]))
    assert closing.open_edges == 6 and topology(made).is_closed


def test_sheets_that_meet_are_taken_apart():
    corners = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0], [0, 0, -1]])
    first = np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    mesh = Mesh(corners, np.concatenate([first, np.array([0, 1, 4, 5], np.int32)[first]]), corners)
    made, closing = make_watertight(mesh)
    assert closing == Closing(holes=0, open_edges=0, crowded_edges=1)
    assert topology(made).is_closed and topology(made).components == 2
    assert np.allclose(made.colors, made.vertices)


def test_triangles_that_contradict_one_another_are_refused():
    turned = MESH.faces.copy()
    turned[5] = turned[5, ::-1]
    with pytest.raises(T3Error, match=r"cannot be closed: 0 open edges.*contradict.*leave out --watertight"):
        make_watertight(Mesh(MESH.vertices, turned, MESH.colors))


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda *packages: False)
    with pytest.raises(EnvironmentProblem, match=r"a closed mesh needs manifold3d: `pip install 't3export\[mesh\]'`"):
        make_watertight(MESH)
