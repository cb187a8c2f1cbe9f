from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.workshop.parity import compare


def test_figures_of_a_known_difference():
    found = compare(np.array([3.0, 4.0]), np.array([3.0, 4.5]))
    assert found.max_abs == 0.5
    assert found.relative_l2 == pytest.approx(0.1)
    assert found.snr_db == pytest.approx(20.0)
    assert found.cosine == pytest.approx((9 + 18) / (5 * math.hypot(3, 4.5)))


def test_equal_arrays_are_infinitely_close_even_when_zero():
    assert compare(np.zeros(3), np.zeros(3)).snr_db == math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_infinitely_far(bad):
    assert compare(np.ones(2), np.array([1.0, bad])).snr_db == -math.inf


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"reference \(2,\), actual \(3,\)"):
        compare(np.ones(2), np.ones(3))


@given(st.floats(1e-6, 1.0), st.integers(0, 99))
def test_snr_is_the_relative_error_in_decibels(scale, seed):
    rng = np.random.default_rng(seed)
    reference, noise = rng.standard_normal((2, 50))
    found = compare(reference, reference + scale * noise)
    assert found.snr_db == pytest.approx(-20 * math.log10(found.relative_l2))
