"""A block that is cleared holds no surface of any field as steep as assumed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.runtime.surface.clearance import cleared_with_middle, not_cleared_by_corners
from tests.exporter.runtime.fields import ball, union

BLOCK = np.array([[0, 0, 0]])


def lattice(side, width=1.0):
    """Samples [side, side, side, 3] half a width apart."""
    along = np.arange(side) * width / 2
    return np.stack(np.meshgrid(along, along, along, indexing="ij"), axis=-1)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 10**6), side=st.sampled_from([2, 3]), inside_out=st.booleans())
def test_a_cleared_block_holds_no_surface(seed, side, inside_out):
    """`side` 2: a block at the end of a lattice, half as wide, whose middle is its corner."""
    rng = np.random.default_rng(seed)
    balls = [ball(radius, tuple(rng.uniform(-1, 2, 3))) for radius in rng.uniform(0.05, 1, rng.integers(1, 4))]
    sign = -1 if inside_out else 1
    field = union(*balls).distance
    values = np.tanh(sign * field(lattice(side).reshape(-1, 3)).reshape((side,) * 3))
    if cleared_with_middle(values, BLOCK, np.array([1.0]))[0]:
        dense = np.linspace(0, (side - 1) / 2, 17)
        points = np.stack(np.meshgrid(dense, dense, dense, indexing="ij"), axis=-1).reshape(-1, 3)
        inside = field(points) > 0
        assert inside.all() or not inside.any()


@pytest.mark.parametrize(("distance", "cleared"), [(0.55, False), (0.8, True)])
def test_a_plane_beside_a_block_is_cleared_from_a_third_of_its_width_on(distance, cleared):
    """`distance` from the middle, half a width of which is the block's own."""
    values = np.tanh(lattice(3)[..., 0] - 0.5 + distance)
    assert cleared_with_middle(values, BLOCK, np.array([1.0]))[0] == cleared


def test_a_middle_of_another_sign_clears_nothing():
    values = np.full((3, 3, 3), 0.9)
    assert cleared_with_middle(values, BLOCK, np.array([0.01]))[0]
    values[1, 1, 1] = -0.9
    assert not cleared_with_middle(values, BLOCK, np.array([0.01]))[0]


def test_blocks_far_from_the_surface_are_cleared_by_their_corners():
    along = np.arange(9)
    values = np.broadcast_to(np.tanh(0.25 * (along - 0.5))[:, None, None], (9, 9, 9))
    blocks = np.ones((8, 8, 8), bool)
    crossed = blocks & (np.arange(8) == 0)[:, None, None]
    doubtful, change = not_cleared_by_corners(values, along, 9, blocks, crossed)
    assert set(doubtful[:, 0]) == {1} and len(doubtful) == 64
    assert change == pytest.approx(1.25 * 0.25)
