from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from exporter.quantize.rounding import blockwise, dequantize, palette, per_channel
from tests.exporter.quantize.programs import looked_up

FLOATS = st.floats(-1e4, 1e4, width=32)
MATRICES = stnp.arrays(np.float32, stnp.array_shapes(min_dims=2, max_dims=3, max_side=20), elements=FLOATS)


@given(MATRICES)
@settings(max_examples=50, deadline=None)
def test_a_channel_is_off_by_half_a_step_at_most(weight):
    integers, scale = per_channel(weight)
    assert scale.shape == (*weight.shape[:-2], 1, weight.shape[-1]) and (scale > 0).all()
    assert integers.dtype == np.int8 and np.abs(integers.astype(int)).max() <= 127
    assert (np.abs(dequantize(integers, scale) - weight) <= scale * 0.501).all()


@given(MATRICES, st.sampled_from([4, 8]), st.sampled_from([1, 4, 7, 16, 32]))
@settings(max_examples=80, deadline=None)
def test_blocks_of_any_shape_are_closer_than_a_step_of_their_largest(weight, bits, block):
    integers, scale = blockwise(weight, bits, block)
    assert scale.shape == (*weight.shape[:-2], -(-weight.shape[-2] // block), weight.shape[-1])
    assert (scale > 0).all() and (scale == scale.astype(np.float16)).all()
    assert integers.min() >= -(2 ** (bits - 1)) and integers.max() < 2 ** (bits - 1)
    high = 2 ** (bits - 1) - 1
    largest = np.pad(np.abs(weight), [(0, 0)] * (weight.ndim - 2) + [(0, -weight.shape[-2] % block), (0, 0)])
    largest = largest.reshape(*scale.shape[:-1], block, scale.shape[-1]).max(axis=-2)
    restored = dequantize(integers, scale, block).astype(np.float64)
    step = np.repeat(np.maximum(largest / high, 2.0**-24), block, axis=-2)[..., : weight.shape[-2], :]
    # The scale of least squared error may clip a block's largest weight, at the most by the range that was searched.
    assert (np.abs(restored - weight) <= step * high * 0.31 + step).all()


def test_the_scale_of_a_block_is_searched():
    weight = np.random.default_rng(0).standard_normal((512, 64)).astype(np.float32)
    integers, scale = blockwise(weight, 4, 32)
    largest = np.abs(weight.reshape(16, 32, 64)).max(axis=1) / 7
    plain = dequantize(np.rint(weight / np.repeat(largest, 32, axis=0)).astype(np.int8), largest, 32)
    gain = np.square(weight - plain).sum() / np.square(weight - dequantize(integers, scale, 32)).sum()
    assert gain > 1.2


def test_channels_and_matrices_are_scaled_alone():
    sizes = np.logspace(-4, 2, 24, dtype=np.float32).reshape(4, 1, 6)
    weight = np.random.default_rng(0).standard_normal((4, 64, 6)).astype(np.float32) * sizes
    for stored in (per_channel(weight), (*blockwise(weight, 8, 32), 32)):
        error = np.abs(dequantize(*stored) - weight).max(axis=1) / sizes[:, 0]
        assert error.max() < 0.03, "one scale for all would drown the small ones"


def test_zeros_stay_zeros():
    weight = np.zeros((40, 3), np.float32)
    for stored in (per_channel(weight), (*blockwise(weight, 4, 32), 32)):
        assert (dequantize(*stored) == 0).all()
    assert (looked_up(*palette(weight, 2)) == 0).all()


# Distortion of the best quantizer of a normal distribution: Max, Quantizing for minimum distortion, 1960, table I.
@pytest.mark.parametrize(("bits", "least"), [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497), (5, 0.002499)])
def test_a_palette_of_normal_weights_is_as_good_as_can_be(bits, least):
    weight = np.random.default_rng(0).standard_normal(500_000).astype(np.float32)
    error = np.square(weight - looked_up(*palette(weight, bits))).mean()
    assert error == pytest.approx(least, rel=0.03)


@given(
    stnp.arrays(np.float32, stnp.array_shapes(min_dims=1, max_dims=3, max_side=12), elements=FLOATS), st.integers(1, 6)
)
@settings(max_examples=80, deadline=None)
def test_each_weight_takes_the_nearest_of_an_ascending_table(weight, bits):
    indices, table = palette(weight, bits)
    assert indices.shape == weight.shape and indices.dtype == np.uint8
    assert table.shape == (2**bits,) and (np.diff(table) >= 0).all()
    off, least = np.abs(looked_up(indices, table) - weight), np.abs(table - weight[..., None]).min(axis=-1)
    assert (off <= least * (1 + 1e-4) + 1e-6 * np.abs(weight).max()).all()


def test_a_palette_finds_the_values_there_are():
    values = np.array([-3, 0.25, 0.5, 7], np.float32)
    weight = values[np.random.default_rng(0).integers(0, 4, (50, 60))]
    np.testing.assert_allclose(looked_up(*palette(weight, 2)), weight, atol=2e-4)


def test_a_few_large_weights_do_not_cost_the_others_their_levels():
    random = np.random.default_rng(0)
    weight = np.concatenate([random.standard_normal(100_000), 64 * random.standard_normal(100)]).astype(np.float32)
    assert np.square(weight - looked_up(*palette(weight, 6)))[:100_000].mean() < 0.02
