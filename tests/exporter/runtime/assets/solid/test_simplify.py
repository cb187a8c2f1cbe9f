from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from exporter.errors import EnvironmentProblem
from exporter.runtime.assets import optional
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.solid.simplify import simplify
from exporter.runtime.assets.solid.topology import topology
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import ball, of, torus, union

MESH = extract_mesh(union(torus, ball(0.25, (0.1, -0.6, 0.4))), 64)


@pytest.mark.parametrize("triangles", [4000, 1000, 300])
def test_the_shape_stays_closed_with_its_handles_and_its_volume(triangles):
    made = simplify(MESH, triangles, torus.color)
    before, after = topology(MESH), topology(made)
    assert 0.9 * triangles <= len(made.faces) <= triangles
    assert after.is_closed and (after.genus, after.components) == (before.genus, before.components)
    assert after.volume == pytest.approx(before.volume, rel=0.05)
    assert cKDTree(MESH.vertices).query(made.vertices)[0].max() < 0.03


def test_new_vertices_have_the_colours_of_the_field():
    made = simplify(MESH, 1000, torus.color)
    assert np.allclose(made.colors, torus.color(made.vertices), atol=1e-6)


def test_a_mesh_that_is_small_enough_is_left_alone():
    assert simplify(MESH, len(MESH.faces), torus.color) is MESH


def test_sheets_that_meet_are_taken_apart_again():
    droplets = of(lambda p: np.sin(p[:, 0] * 12) * np.sin(p[:, 1] * 12 + 1) * np.sin(p[:, 2] * 12 + 2) - 0.3)
    mesh = extract_mesh(droplets, 48, exact=True)
    package = optional.optional("fast_simplification")
    crude = Mesh(*package.simplify(mesh.vertices, mesh.faces, target_count=8000), mesh.colors)
    assert topology(crude).crowded_edges > 0
    made = simplify(mesh, 8000, torus.color)
    assert topology(made).is_closed and 7000 < len(made.faces) <= 8000


def test_a_mesh_that_would_fall_apart_is_left_alone(monkeypatch):
    package = optional.optional("fast_simplification")
    whole = package.simplify

    def torn(*arguments, **options):
        vertices, faces = whole(*arguments, **options)
        return vertices, faces[1:]

    monkeypatch.setattr(package, "simplify", torn)
    assert simplify(MESH, 1000, torus.color) is MESH
    open_mesh = Mesh(MESH.vertices, MESH.faces[1:], MESH.colors)
    assert len(simplify(open_mesh, 1000, torus.color).faces) < 1000


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda *packages: False)
    with pytest.raises(EnvironmentProblem, match=r"fast_simplification: `pip install 't3export\[mesh\]'`"):
        simplify(MESH, 1000, torus.color)
