"""Intervals and paired tests: how sure a difference between two builds is."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

LEAST_PAIRS = 6
"""Fewer pairs cannot tell a difference from chance, even all one way: 2 / 2^5 is more than 0.05."""


@dataclass(frozen=True)
class Interval:
    """A closed interval of plausible values at some confidence."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Mean of `b - a` over pairs, with the bounds of its interval; infinite ones where so few pairs give none."""

    mean: float
    low: float
    high: float


def wilson_interval(hits: int, total: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (E. B. Wilson, 1927). An empty sample gives [0, 1]."""
    if not 0 <= hits <= total:
        raise ValueError(f"hits must lie in [0, total], found {hits} of {total}")
    if total == 0:
        return Interval(0.0, 1.0)
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    rate = hits / total
    scale = 1 + z * z / total
    centre = (rate + z * z / (2 * total)) / scale
    half = z / scale * float(np.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total)))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def guessing_p(hits: int, total: int, share: float) -> float:
    """How likely guessing has as many hits or more, each with a chance of `share`: the exact binomial test."""
    return float(stats.binomtest(hits, total, share, alternative="greater").pvalue) if total else 1.0


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact McNemar p-value from the two discordant counts (binomial at one half).

    `only_a` pairs were hit by run a alone, `only_b` by run b alone. Without discordant pairs the answer is 1.
    """
    discordant = only_a + only_b
    return float(stats.binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0


def smallest_loss_shown(pairs: int) -> float | None:
    """The smallest loss in rate that McNemar's test calls one on this many pairs, p < 0.05; None where it never can.

    That is six pairs that only one side hits, and none that only the other does.
    """
    return LEAST_PAIRS / pairs if pairs >= LEAST_PAIRS else None


def pairs_to_show(margin: float, confidence: float = 0.95) -> float:
    """How many pairs put a rate that does not differ within `margin` on either side: infinite for a margin of 0."""
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    return math.ceil(z * z * (1 - margin) / margin) if margin > 0 else math.inf


def paired_rates_interval(only_a: int, only_b: int, pairs: int, confidence: float = 0.95) -> Interval:
    """Score interval of the difference in rate, b - a, of paired hits (Tango, Statistics in Medicine 17, 1998, 891).

    Unlike a bootstrap it does not shrink to nothing where no pair differs. An empty sample gives [-1, 1].
    """
    if min(only_a, only_b) < 0 or only_a + only_b > pairs:
        raise ValueError(f"{only_a} and {only_b} pairs that differ cannot be among {pairs}")
    if pairs == 0:
        return Interval(-1.0, 1.0)
    z, mean = float(stats.norm.ppf(0.5 + confidence / 2)), (only_b - only_a) / pairs

    def score(difference: float) -> float:
        at = 2 * pairs
        linear = -only_b - only_a + (2 * pairs - only_b + only_a) * difference
        constant = -only_a * difference * (1 - difference)
        share = (math.sqrt(max(0.0, linear * linear - 4 * at * constant)) - linear) / (2 * at)
        variance = pairs * (2 * share + difference * (1 - difference))
        return (only_b - only_a - pairs * difference) / math.sqrt(variance) if variance > 0 else 0.0

    def bound(end: float, side: float) -> float:
        inner = mean + 1e-12 * (end - mean)
        outer = mean + (1 - 1e-12) * (end - mean)
        if abs(outer - inner) < 1e-9 or abs(score(outer)) <= z:
            return end
        return float(optimize.brentq(lambda difference: score(difference) - side * z, inner, outer, xtol=1e-9))

    return Interval(bound(-1.0, 1.0), bound(1.0, -1.0))


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference:
    """Percentile bootstrap of the mean of `b - a` over pairs.

    `groups` names the prompt of every pair: several seeds of a prompt are not independent, so whole groups are
    resampled. Groups may have different sizes; the statistic stays the mean over pairs. Fewer groups than
    `LEAST_PAIRS` have infinite bounds.
    """
    difference = _differences(a, b)
    if difference.size == 0:
        raise ValueError("a paired bootstrap needs at least one pair")
    sums, counts = _group_sums(difference, groups)
    if sums.size < LEAST_PAIRS:
        return Difference(float(difference.mean()), -math.inf, math.inf)
    rng = np.random.Generator(np.random.Philox(seed))
    means = np.empty(resamples)
    for start in range(0, resamples, 1000):
        chosen = rng.integers(0, sums.size, size=(min(1000, resamples - start), sums.size))
        means[start : start + len(chosen)] = sums[chosen].sum(1) / counts[chosen].sum(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(float(difference.mean()), float(low), float(high))


def permutation_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    permutations: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p-value that the mean of `b - a` is zero, by random sign flips of whole groups.

    The observed arrangement counts as one of the permutations (Phipson and Smyth, 2010), so p is never 0.
    """
    difference = _differences(a, b)
    if difference.size == 0 or not np.any(difference):
        return 1.0
    sums, _ = _group_sums(difference, groups)
    observed = abs(sums.sum())
    rng = np.random.Generator(np.random.Philox(seed))
    as_extreme = 0
    for start in range(0, permutations, 1000):
        signs = rng.integers(0, 2, size=(min(1000, permutations - start), sums.size)) * 2.0 - 1.0
        as_extreme += int((np.abs(signs @ sums) >= observed * (1 - 1e-12)).sum())
    return (as_extreme + 1) / (permutations + 1)


def _differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"paired samples must be two vectors of one length, found {first.shape} and {second.shape}")
    return second - first


def _group_sums(
    difference: NDArray[np.float64], groups: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if groups is None:
        return difference, np.ones_like(difference)
    if len(groups) != difference.size:
        raise ValueError(f"{len(groups)} group names for {difference.size} pairs")
    order = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    index = np.array([order[name] for name in groups])
    return np.bincount(index, weights=difference).astype(np.float64), np.bincount(index).astype(np.float64)
