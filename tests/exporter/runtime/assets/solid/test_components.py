from __future__ import annotations

import numpy as np

from exporter.runtime.assets.solid.components import drop_small_components
from exporter.runtime.assets.solid.topology import topology
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import ball, of, torus, union

FLOATERS = union(torus, ball(0.1, (0.8, 0.8, 0.8)), ball(0.05, (-0.8, -0.8, 0.8)))
MESH = extract_mesh(FLOATERS, 64)


def test_parts_below_the_share_are_left_out_with_their_vertices():
    kept, dropped = drop_small_components(MESH, 0.01)
    assert dropped == 2 and topology(kept).components == 1 and topology(kept).is_closed
    assert len(kept.vertices) == len(np.unique(kept.faces)) == len(kept.colors)
    assert np.allclose(kept.colors, torus.color(kept.vertices), atol=1e-6)
    assert drop_small_components(MESH, 0.002)[1] == 1


def test_nothing_small_leaves_the_mesh_as_it_is():
    assert drop_small_components(MESH, 0.0) == (MESH, 0)


def test_the_largest_stays_whatever_the_share():
    kept, dropped = drop_small_components(MESH, 0.9999)
    assert dropped == 2 and topology(kept).genus == 1


def test_a_small_cavity_is_filled():
    hollow = of(lambda points: np.minimum(ball(0.6).distance(points), -ball(0.1).distance(points)))
    mesh = extract_mesh(hollow, 48, exact=True)
    assert topology(mesh).components == 2
    kept, dropped = drop_small_components(mesh, 0.05)
    assert dropped == 1 and topology(kept).components == 1 and topology(kept).volume > topology(mesh).volume
