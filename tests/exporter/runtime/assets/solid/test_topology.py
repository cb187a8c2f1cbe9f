from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.solid.topology import topology
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import ball, torus, union


@pytest.mark.parametrize(
    ("field", "components", "genus"),
    [(ball(0.5), 1, 0), (torus, 1, 1), (union(torus, ball(0.2)), 2, 1)],
)
def test_parts_and_handles(field, components, genus):
    found = topology(extract_mesh(field, 32))
    assert found.is_closed and (found.components, found.genus) == (components, genus)


def test_the_volume_of_a_ball():
    assert topology(extract_mesh(ball(0.5), 64)).volume == pytest.approx(np.pi / 6, rel=0.01)


def test_a_hole_has_open_edges_and_no_genus():
    mesh = extract_mesh(torus, 24)
    found = topology(Mesh(mesh.vertices, mesh.faces[1:], mesh.colors))
    assert (found.open_edges, found.crowded_edges, found.genus) == (3, 0, None) and not found.is_closed


def test_two_parts_that_touch_along_an_edge_are_not_a_solid():
    corners = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0], [0, 0, -1]])
    first = np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    second = np.array([0, 1, 4, 5], np.int32)[first]
    found = topology(Mesh(corners, np.concatenate([first, second]), corners))
    assert (found.open_edges, found.crowded_edges) == (0, 1) and not found.is_closed


def test_vertices_that_no_face_uses_do_not_count():
    mesh = extract_mesh(torus, 24)
    more = np.concatenate([mesh.vertices, mesh.vertices])
    assert topology(Mesh(more, mesh.faces, more)) == topology(mesh)
