from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.quantize.observers import threshold
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
    assert square_error(values, threshold(seen(values), "mse", bits=bits), bits) <= 1.03 * best


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
    clips = [threshold(statistics, "mse", bits=bits) for bits in (3, 4, 6, 8)]
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
    found = threshold(statistics, observer, bits=bits)
    assert 0.0 < found <= (statistics.maximum or 1.0)


@given(st.integers(-20, 20), st.sampled_from(["minmax", "percentile", "entropy", "mse"]))
def test_thresholds_scale_with_the_values(exponent, observer):
    values = SAMPLES["laplace"]
    expected = threshold(seen(values), observer) * 2.0**exponent
    assert threshold(seen(values * 2.0**exponent), observer) == pytest.approx(expected)
