from __future__ import annotations

import pytest

from exporter.errors import EnvironmentProblem
from exporter.runtime.assets import optional
from exporter.runtime.assets.postprocess import TRIANGLES_UNDER_A_TEXTURE, Cleaning, Dressing, can_texture, clean, dress
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import ball, torus, union

DENSE = extract_mesh(torus, 128)


def test_a_texture_brings_a_budget_of_triangles_and_a_normal_map():
    made = dress(DENSE, torus.color, Dressing(size=128))
    assert len(DENSE.faces) > TRIANGLES_UNDER_A_TEXTURE >= len(made.mesh.faces) > 0.9 * TRIANGLES_UNDER_A_TEXTURE
    assert made.texture.normal_map is not None
    told = made.to_dict()["texture"]
    assert (told["size"], told["of_triangles"], told["normal_map"]) == (128, len(DENSE.faces), True)
    assert told["field_points"] == made.field_points > 2000


def test_without_a_texture_nothing_is_taken_away_but_on_request():
    assert dress(DENSE, torus.color, Dressing(texture=False)).mesh is DENSE
    fewer = dress(DENSE, torus.color, Dressing(texture=False, triangles=500))
    assert len(fewer.mesh.faces) <= 500 and fewer.texture is None and fewer.to_dict()["texture"] is None


def test_a_texture_without_its_packages_is_refused_with_the_extra(monkeypatch):
    monkeypatch.setattr(optional, "find_spec", lambda name: None)
    assert not can_texture()
    with pytest.raises(EnvironmentProblem, match=r"a texture needs xatlas: `pip install 't3export\[mesh\]'`"):
        dress(extract_mesh(ball(0.3), 16), torus.color, Dressing(size=64))


def test_cleaning_drops_parts_and_proves_a_solid():
    mesh = extract_mesh(union(torus, ball(0.1, (0.8, 0.8, 0.8))), 64)
    made, told = clean(mesh, Cleaning(drop_parts=0.02, watertight=True))
    assert told == {"dropped_parts": 1, "watertight": {"holes": 0, "open_edges": 0, "crowded_edges": 0}}
    assert len(made.faces) < len(mesh.faces)
    assert clean(mesh, Cleaning()) == (mesh, {})
