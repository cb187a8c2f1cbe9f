"""Intervals and paired tests against published or closed-form values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validate.judge.statistics import (
    guessing_p,
    mcnemar_exact,
    paired_bootstrap,
    paired_rates_interval,
    pairs_to_show,
    permutation_test,
    smallest_loss_shown,
    wilson_interval,
)

Z_SQUARED = 1.959964**2


def test_wilson_matches_the_published_example() -> None:
    interval = wilson_interval(81, 263)  # Newcombe 1998, table I: 0.2553 to 0.3662
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.2553, 0.3662)


@given(st.integers(0, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_holds_the_rate_within_unit_bounds(counts: tuple[int, int]) -> None:
    hits, total = counts
    interval = wilson_interval(hits, total)
    assert 0 <= interval.low <= (hits / total if total else 0.5) + 1e-12
    assert (hits / total if total else 0.5) - 1e-12 <= interval.high <= 1


def test_wilson_refuses_more_hits_than_trials() -> None:
    with pytest.raises(ValueError, match="6 of 5"):
        wilson_interval(6, 5)


def test_mcnemar_is_the_exact_binomial() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(3, 3) == 1.0
    assert mcnemar_exact(0, 8) == pytest.approx(2 / 2**8)
    assert mcnemar_exact(1, 9) == mcnemar_exact(9, 1) == pytest.approx(2 * 11 / 2**10)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 400))
def test_the_interval_of_paired_rates_holds_the_difference_and_turns_with_the_sides(a: int, b: int, same: int) -> None:
    pairs = a + b + same
    interval, turned = paired_rates_interval(a, b, pairs), paired_rates_interval(b, a, pairs)
    assert -1 <= interval.low < (b - a) / pairs < interval.high <= 1
    assert (turned.low, turned.high) == pytest.approx((-interval.high, -interval.low), abs=1e-6)
    # The score test at a bound is exactly at the edge (Tango 1998, equation 5).
    for bound in (interval.low, interval.high):
        root = -a - b + (2 * pairs - b + a) * bound
        share = (np.sqrt(root**2 + 8 * pairs * a * bound * (1 - bound)) - root) / (4 * pairs)
        score = (b - a - pairs * bound) ** 2 / (pairs * (2 * share + bound * (1 - bound)))
        assert score == pytest.approx(Z_SQUARED, rel=1e-4)


def test_the_interval_does_not_shrink_to_nothing_where_no_pair_differs() -> None:
    for pairs in (1, 10, 160):
        interval = paired_rates_interval(0, 0, pairs)
        assert -interval.low == pytest.approx(interval.high) == pytest.approx(Z_SQUARED / (pairs + Z_SQUARED), abs=1e-5)
    assert (paired_rates_interval(0, 0, 0).low, paired_rates_interval(0, 0, 0).high) == (-1, 1)
    assert paired_rates_interval(6, 0, 6).low == pytest.approx(-1, abs=1e-6)
    with pytest.raises(ValueError, match="cannot be among 5"):
        paired_rates_interval(3, 3, 5)


def test_the_interval_of_paired_rates_covers_as_often_as_it_says() -> None:
    lost, gained, pairs = 0.06, 0.03, 80
    drawn = np.random.default_rng(4).multinomial(pairs, [lost, gained, 1 - lost - gained], size=600)
    intervals = [paired_rates_interval(int(a), int(b), pairs) for a, b, _ in drawn]
    assert 0.93 < np.mean([interval.low <= gained - lost <= interval.high for interval in intervals]) < 0.98


def test_so_many_pairs_show_what_they_can() -> None:
    assert smallest_loss_shown(5) is None and smallest_loss_shown(160) == pytest.approx(0.0375)
    assert mcnemar_exact(6, 0) < 0.05 < mcnemar_exact(5, 0)
    for margin in (0.05, 0.02, 0.005):
        needed = int(pairs_to_show(margin))
        assert paired_rates_interval(0, 0, needed).high <= margin < paired_rates_interval(0, 0, needed - 1).high
    assert pairs_to_show(0.0) == np.inf


def test_too_few_prompts_have_no_bootstrap() -> None:
    for count in (1, 5):
        found = paired_bootstrap(np.zeros(count), np.full(count, -0.0451))
        assert (found.mean, found.low, found.high) == (pytest.approx(-0.0451), -np.inf, np.inf)
    assert np.isfinite(paired_bootstrap(np.zeros(6), np.arange(6.0)).low)


def test_guessing_is_the_exact_binomial() -> None:
    assert guessing_p(4, 4, 0.25) == pytest.approx(0.25**4) and guessing_p(0, 4, 0.25) == 1
    assert guessing_p(1, 4, 0.001) == pytest.approx(1 - 0.999**4) and guessing_p(0, 0, 0.5) == 1


def test_bootstrap_is_seeded_and_holds_the_mean() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=200)
    b = a + 0.3 + rng.normal(scale=0.1, size=200)
    first, again, other = (paired_bootstrap(a, b, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first.low < first.mean < first.high
    assert first.mean == pytest.approx(0.3, abs=0.05)
    assert first.high - first.low == pytest.approx(2 * 1.96 * np.std(b - a) / np.sqrt(200), rel=0.1)


def test_bootstrap_of_copied_pairs_is_as_wide_as_of_the_originals() -> None:
    """Seeds that repeat each other carry no information beyond the prompt."""
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 2, 60), rng.integers(0, 2, 60)
    plain = paired_bootstrap(a, b)
    grouped = paired_bootstrap(np.repeat(a, 4), np.repeat(b, 4), groups=list(np.repeat(np.arange(60), 4)))
    assert grouped.high - grouped.low == pytest.approx(plain.high - plain.low, rel=0.02)


def test_a_permutation_test_sees_a_shift_and_only_a_shift() -> None:
    rng = np.random.default_rng(3)
    noise, again = rng.normal(size=100), rng.normal(size=100)
    assert permutation_test(noise, noise + 0.01) < 1e-3
    assert permutation_test(noise, noise) == 1.0
    assert permutation_test(noise, again) > 0.01
    assert permutation_test(noise, noise + 0.01) == permutation_test(noise + 0.01, noise)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        paired_bootstrap([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="1 group names for 2"):
        paired_bootstrap([1, 2], [1, 2], groups=["x"])
