"""CLIP-R-Precision (Jain et al., Dream Fields, section 5.1): does the judge find the object's own caption?"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validate.judge.statistics import (
    Difference,
    Interval,
    mcnemar_exact,
    paired_bootstrap,
    paired_rates_interval,
    smallest_loss_shown,
    wilson_interval,
)


@dataclass(frozen=True)
class Retrieval:
    """One row an object: did its own caption come first, at which rank (1 is first), and by how much."""

    hits: NDArray[np.bool_]
    ranks: NDArray[np.int64]
    cosine: NDArray[np.float64]
    margin: NDArray[np.float64]
    top: NDArray[np.int64]

    @property
    def rate(self) -> float:
        return float(self.hits.mean())

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the rate, objects counted as independent."""
        return wilson_interval(int(self.hits.sum()), len(self.hits))


@dataclass(frozen=True)
class RunComparison:
    """Run b against run a on the same prompts and seeds; the difference is b - a in rate."""

    pairs: int
    only_a: int
    only_b: int
    p_value: float
    difference: Difference

    @property
    def smallest_loss_shown(self) -> float | None:
        """The smallest loss in rate that n pairs can show, None for too few to show any."""
        return smallest_loss_shown(self.pairs)


def object_embeddings(view_embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """[objects, views, d] L2-normalised view embeddings -> [objects, d], their mean (not normalised again)."""
    return view_embeddings.mean(axis=1)


def retrieve(
    objects: NDArray[np.floating], captions: NDArray[np.floating], own: ArrayLike, *, empty: ArrayLike | None = None
) -> Retrieval:
    """Rank every caption for every object.

    objects [n, d], captions [m, d] (L2-normalised), own [n] the index of each object's caption. `empty` [n] marks
    objects without a surface: they are misses whatever the judge makes of a white picture. Ties go against the object.
    """
    index = np.asarray(own, dtype=np.int64)
    if objects.ndim != 2 or captions.ndim != 2 or objects.shape[1] != captions.shape[1]:
        raise ValueError(f"embeddings do not match: objects {objects.shape}, captions {captions.shape}")
    if index.shape != (len(objects),) or (index.size and not 0 <= index.min() <= index.max() < len(captions)):
        raise ValueError(f"own must hold one caption index below {len(captions)} for each of {len(objects)} objects")
    cosine = objects.astype(np.float64) @ captions.astype(np.float64).T
    rows = np.arange(len(objects))
    own_cosine = cosine[rows, index]
    others = cosine.copy()
    others[rows, index] = -np.inf
    ranks = 1 + (others >= own_cosine[:, None]).sum(1)
    if empty is not None:
        ranks = np.where(np.asarray(empty, dtype=bool), len(captions), ranks)
    missed = np.zeros(len(objects), dtype=bool) if empty is None else np.asarray(empty, dtype=bool)
    return Retrieval(
        hits=(ranks == 1) & ~missed,
        ranks=ranks,
        cosine=own_cosine,
        margin=own_cosine - others.max(1, initial=-1.0),
        top=cosine.argmax(1),
    )


def compare_runs(
    a_hits: ArrayLike, b_hits: ArrayLike, *, groups: Sequence[Hashable] | None = None, seed: int = 0
) -> RunComparison:
    """McNemar's exact test, and the difference in rate with its interval; `groups` names each pair's prompt.

    The interval is the score interval of paired rates, and at least as wide as the bootstrap of whole prompts.
    """
    a, b = np.asarray(a_hits, dtype=bool), np.asarray(b_hits, dtype=bool)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    resampled = paired_bootstrap(a, b, groups=groups, seed=seed)
    scored = paired_rates_interval(only_a, only_b, len(a))
    low = min(scored.low, resampled.low if math.isfinite(resampled.low) else scored.low)
    high = max(scored.high, resampled.high if math.isfinite(resampled.high) else scored.high)
    difference = Difference(resampled.mean, low, high)
    return RunComparison(len(a), only_a, only_b, mcnemar_exact(only_a, only_b), difference)
