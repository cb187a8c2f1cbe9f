from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.quantize.grid import IntegerGrid
from exporter.quantize.observers import find_grid, threshold
from exporter.quantize.statistics import BINS, Statistics

RNG = np.random.default_rng(0)
ROWS = 20_000
SAMPLES = {
    "normal": RNG.standard_normal(ROWS),
    "laplace": RNG.laplace(size=ROWS),
    "uniform": RNG.uniform(-1, 1, ROWS),
    "heavy tail": RNG.standard_t(3, ROWS),
    "gelu": (lambda x: x / (1 + np.exp(-1.702 * x)))(RNG.standard_normal(ROWS)),
    "half zero": RNG.standard_normal(ROWS) * (RNG.random(ROWS) < 0.5),
    "one outlier": np.append(RNG.standard_normal(ROWS - 1), 50.0),
    "few outliers": np.append(RNG.standard_normal(ROWS - 20), RNG.normal(30.0, 1.0, 20)),
}


def seen(values):
    statistics = Statistics.of_nothing(1)
    statistics.add(np.asarray(values, np.float32)[:, None])
    return statistics


def square_error(values, clip, bits):
    """Of symmetric rounding and clipping, on the values themselves."""
    levels = 2 ** (bits - 1) - 1
    scale = clip / levels
    return np.mean((values - np.clip(np.round(values / scale), -levels, levels) * scale) ** 2)


def entropy_by_the_book(values, edge, levels):
    """The presentation's loop (with both of NVIDIA's usual amendments) on a histogram made anew."""
    counts = np.histogram(np.abs(values), BINS, (0, edge))[0].astype(float)
    counts[0] = counts[1]
    best, found = math.inf, None
    for end in range(levels, BINS + 1):
        reference = counts[:end].copy()
        reference[-1] += counts[end:].sum()
        level_of = np.arange(end) * levels // end
        candidate = np.zeros(end)
        for level in range(levels):
            members = (level_of == level) & (counts[:end] > 0)
            if members.any():
                candidate[members] = counts[:end][members].mean()
        if ((reference > 0) & (candidate == 0)).any():
            continue
        p, q = reference / reference.sum(), candidate / candidate.sum()
        divergence = (p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum()
        if divergence <= best + 1e-12:
            best, found = min(best, divergence), end
    return found * edge / BINS


@pytest.mark.parametrize("name", SAMPLES)
def test_minmax_is_the_maximum(name):
    assert threshold(seen(SAMPLES[name]), "minmax") == pytest.approx(np.abs(SAMPLES[name]).max())


@pytest.mark.parametrize("percentile", [90.0, 99.9, 99.99, 100.0])
@pytest.mark.parametrize("name", SAMPLES)
def test_percentile_keeps_its_share(name, percentile):
    statistics = seen(SAMPLES[name])
    magnitudes = np.abs(SAMPLES[name])
    found = threshold(statistics, "percentile", percentile)
    width = statistics.edge / BINS
    assert (magnitudes <= found + width).mean() >= percentile / 100
    assert (magnitudes <= found - width).mean() <= percentile / 100


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", SAMPLES)
def test_mse_is_the_least_error_on_the_values_themselves(name, bits):
    values = SAMPLES[name].astype(np.float32).astype(np.float64)
    maximum = np.abs(values).max()
    best = min(square_error(values, clip, bits) for clip in maximum * np.linspace(0.01, 1, 1000))
    assert square_error(values, threshold(seen(values), "mse", levels=2 ** (bits - 1) - 1), bits) <= 1.03 * best


@pytest.mark.parametrize("name", ["heavy tail", "half zero", "few outliers"])
def test_entropy_is_that_of_the_loop_over_bins(name):
    statistics = seen(SAMPLES[name])
    expected = entropy_by_the_book(SAMPLES[name].astype(np.float32), statistics.edge, 128)
    assert threshold(statistics, "entropy") == pytest.approx(min(expected, statistics.maximum))


@pytest.mark.parametrize("observer", ["percentile", "entropy", "mse"])
def test_a_tail_is_clipped(observer):
    statistics = seen(SAMPLES["heavy tail"])
    assert threshold(statistics, observer, 99.9) < 0.95 * statistics.maximum


def test_fewer_bits_clip_more():
    statistics = seen(SAMPLES["normal"])
    clips = [threshold(statistics, "mse", levels=2 ** (bits - 1) - 1) for bits in (3, 4, 6, 8)]
    assert clips == sorted(clips) and clips[0] < 0.7 * clips[-1]


@pytest.mark.parametrize("observer", ["minmax", "percentile", "entropy", "mse"])
def test_zeros_get_a_scale(observer):
    assert threshold(seen(np.zeros(5)), observer) == 1.0


def test_an_unknown_observer_is_told():
    with pytest.raises(ValueError, match="no observer 'median'; minmax, percentile, entropy or mse"):
        threshold(seen([1.0]), "median")


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40),
    st.sampled_from(["minmax", "percentile", "entropy", "mse"]),
    st.integers(2, 8),
)
def test_thresholds_are_positive_and_within_the_maximum(values, observer, bits):
    statistics = seen(values)
    found = threshold(statistics, observer, levels=2 ** (bits - 1) - 1)
    assert 0.0 < found <= (statistics.maximum or 1.0)


@given(st.integers(-20, 20), st.sampled_from(["minmax", "percentile", "entropy", "mse"]))
def test_thresholds_scale_with_the_values(exponent, observer):
    values = SAMPLES["laplace"]
    expected = threshold(seen(values), observer) * 2.0**exponent
    assert threshold(seen(values * 2.0**exponent), observer) == pytest.approx(expected)


def grid_error(values, grid):
    levels = np.clip(np.round(values / grid.step) + grid.zero, 0, round((grid.high - grid.low) / grid.step))
    return np.mean((values - (levels - grid.zero) * grid.step) ** 2)


@pytest.mark.parametrize("observer", ["minmax", "percentile", "entropy", "mse"])
def test_what_hardly_goes_below_zero_has_its_levels_above(observer):
    values = SAMPLES["gelu"]
    one_sided, symmetric = (find_grid(seen(values), observer, one_sided=allowed) for allowed in (True, False))
    assert one_sided.low == pytest.approx(values.min()) and one_sided.is_one_sided
    assert symmetric == IntegerGrid.around_zero(threshold(seen(values), observer))
    assert grid_error(values, one_sided) < 0.5 * grid_error(values, symmetric)


@pytest.mark.parametrize("name", ["normal", "uniform", "few outliers"])
def test_what_goes_both_ways_stays_around_zero(name):
    values = -SAMPLES[name]
    assert find_grid(seen(values), "mse", one_sided=True) == IntegerGrid.around_zero(threshold(seen(values), "mse"))


def test_the_one_sided_range_has_the_least_error():
    values = SAMPLES["gelu"].astype(np.float32).astype(np.float64)
    found = find_grid(seen(values), "mse", one_sided=True)
    best = min(grid_error(values, IntegerGrid(found.low, high)) for high in values.max() * np.linspace(0.3, 1, 500))
    assert grid_error(values, found) <= 1.03 * best


def test_zeros_have_a_grid():
    assert find_grid(seen(np.zeros(5)), "mse", one_sided=True) == IntegerGrid(-1.0, 1.0)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40), st.sampled_from(["minmax", "mse"]))
def test_zero_is_a_level_of_every_grid(values, observer):
    grid = find_grid(seen(values), observer, one_sided=True)
    assert grid.low <= 0.0 < grid.high and grid.step > 0 and 0 <= grid.zero <= 127
