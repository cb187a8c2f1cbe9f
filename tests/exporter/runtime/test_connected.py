from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_propagation
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as of_scipy

from exporter.runtime.connected import connected_components
from exporter.runtime.inputs.plain_background import plain_background


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 60), edges=st.integers(0, 90), seed=st.integers(0, 2**32 - 1))
def test_the_numbers_are_those_of_scipy(count, edges, seed):
    start, end = np.random.default_rng(seed).integers(0, count, (2, edges))
    graph = coo_array((np.ones(edges, bool), (start, end)), shape=(count, count))
    assert np.array_equal(connected_components(start, end, count), of_scipy(graph)[1])


def test_a_path_in_any_order_is_one_component():
    walk = np.random.default_rng(0).permutation(5000)
    assert connected_components(walk[:-1], walk[1:], 5000).max() == 0


def test_a_background_of_many_parts_is_that_which_scipy_reaches_from_the_border():
    near = np.random.default_rng(1).random((60, 45)) < 0.62
    near[[0, -1]] = near[:, [0, -1]] = True
    border = np.zeros_like(near)
    border[[0, -1]] = border[:, [0, -1]] = True
    picture = np.where(near[..., None], 250, 20).repeat(3, axis=-1).astype(np.uint8)
    mask = plain_background(picture, 4).mask
    assert np.array_equal(mask, binary_propagation(border & near, mask=near))
    assert border.sum() < mask.sum() < near.sum()
