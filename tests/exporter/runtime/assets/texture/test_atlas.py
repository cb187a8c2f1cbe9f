from __future__ import annotations

import numpy as np

from exporter.runtime.assets.texture.atlas import GUTTER_PIXELS, unwrap
from exporter.runtime.assets.texture.texels import texels_of
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import torus

MESH = extract_mesh(torus, 24)
FLAT = unwrap(MESH, 256)


def charts(flat):
    """Which chart each face lies in: faces that share textured vertices."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start, end = flat.faces.reshape(-1), np.roll(flat.faces, 1, axis=1).reshape(-1)
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(len(flat.uv),) * 2)
    return connected_components(graph)[1][flat.faces[:, 0]]


def test_the_faces_are_those_of_the_mesh_in_their_order():
    assert np.array_equal(FLAT.vertices[FLAT.faces], MESH.faces)
    assert set(FLAT.vertices) == set(range(len(MESH.vertices)))


def test_all_lies_in_the_square_and_fills_one_side_of_it():
    assert FLAT.uv.min() >= 0 and 0.95 < FLAT.uv.max() <= 1


def test_charts_keep_their_distance():
    chart = charts(FLAT)
    assert len(set(chart)) == FLAT.charts
    texels = texels_of(FLAT.uv, FLAT.faces, 256)
    sheet = np.full((256, 256), -1)
    sheet.reshape(-1)[texels.pixel] = chart[texels.face]
    apart = GUTTER_PIXELS // 2
    for shift in range(1, apart + 1):
        for a, b in ((sheet[shift:], sheet[:-shift]), (sheet[:, shift:], sheet[:, :-shift])):
            assert not ((a >= 0) & (b >= 0) & (a != b)).any()


def test_the_same_mesh_gives_the_same_places():
    again = unwrap(MESH, 256)
    assert np.array_equal(again.uv, FLAT.uv) and np.array_equal(again.faces, FLAT.faces)
