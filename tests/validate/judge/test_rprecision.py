"""Retrieval by hand-made embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from validate.judge.rprecision import compare_runs, object_embeddings, retrieve

CAPTIONS = np.eye(4, dtype=np.float32)


def test_hits_ranks_and_margin() -> None:
    objects = np.array([[0.9, 0.1, 0, 0], [0.6, 0.5, 0.2, 0]], dtype=np.float32)
    result = retrieve(objects, CAPTIONS, [0, 2])
    assert result.hits.tolist() == [True, False]
    assert result.ranks.tolist() == [1, 3]
    assert np.allclose(result.cosine, [0.9, 0.2])
    assert np.allclose(result.margin, [0.8, -0.4])
    assert result.top.tolist() == [0, 0]
    assert result.rate == 0.5 and result.interval.low < 0.5 < result.interval.high


def test_an_empty_object_and_a_tie_are_misses() -> None:
    result = retrieve(CAPTIONS[:2], CAPTIONS, [0, 1], empty=[True, False])
    assert result.hits.tolist() == [False, True] and result.ranks.tolist() == [4, 1]
    assert not retrieve(np.ones((1, 4)), CAPTIONS, [2]).hits[0]


def test_views_are_averaged() -> None:
    views = np.stack([CAPTIONS[:2], CAPTIONS[2:]])
    assert np.allclose(object_embeddings(views), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not match"):
        retrieve(np.ones((1, 3)), CAPTIONS, [0])
    with pytest.raises(ValueError, match="caption index"):
        retrieve(CAPTIONS, CAPTIONS, [0, 1, 2, 4])


def test_runs_are_compared_pair_by_pair() -> None:
    a = np.array([1] * 40 + [0] * 10)
    b = a.copy()
    b[:8] = 0
    result = compare_runs(a, b)
    assert (result.only_a, result.only_b) == (8, 0)
    assert result.p_value == pytest.approx(2 / 2**8)
    assert result.difference.mean == pytest.approx(-0.16) and result.difference.high < 0
    same = compare_runs(a, a)
    assert same.p_value == 1 and -same.difference.low == pytest.approx(same.difference.high) == pytest.approx(
        0.0713, abs=1e-4
    )
    assert (same.pairs, same.smallest_loss_shown) == (50, 6 / 50)


def test_the_interval_is_as_wide_as_whole_prompts_make_it() -> None:
    a, b = np.repeat(np.arange(20) % 2, 8), np.repeat(np.arange(20) % 4 == 1, 8)
    apart, together = compare_runs(a, b), compare_runs(a, b, groups=list(np.repeat(np.arange(20), 8)))
    assert together.difference.low < apart.difference.low and together.difference.high > apart.difference.high
    assert compare_runs([1], [1]).difference.high > 0.7 and compare_runs([1], [1]).smallest_loss_shown is None
