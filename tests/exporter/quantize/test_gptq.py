from __future__ import annotations

import numpy as np
import pytest

from exporter.quantize.gptq import DAMPING, gptq
from exporter.quantize.rounding import blockwise, dequantize, palette, per_channel
from tests.exporter.quantize.programs import looked_up

rng = np.random.default_rng(0)


def correlated_inputs(channels, rows=2000):
    """Gaussian inputs whose channels depend on each other, some of them far larger than others."""
    mixing = np.random.default_rng(1).standard_normal((channels, channels)) * np.logspace(0, -1.5, channels)[:, None]
    return (np.random.default_rng(2).standard_normal((rows, channels)) @ mixing).astype(np.float32)


def snr(x, weight, rounded):
    return 10 * np.log10(np.square(x @ weight).sum() / np.square(x @ (weight - rounded)).sum())


def in_blocks(integers, scale):
    return dequantize(integers, scale, 32)


def halves(values, _):
    return np.rint(2 * values) / 2


def textbook(weight, gram):
    """The algorithm as the paper writes it: rows in order, by the upper Cholesky factor of the inverse."""
    order = np.argsort(np.diagonal(gram), kind="stable")[::-1]
    damped = gram.astype(np.float64) + DAMPING * np.mean(np.diagonal(gram)) * np.eye(len(gram))
    factor = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left, rounded = weight[order].astype(np.float64), np.empty(weight.shape)
    for k in range(len(order)):
        rounded[k] = halves(left[k], k)
        left[k:] -= factor[k, k:, None] * (left[k] - rounded[k]) / factor[k, k]
    return rounded[np.argsort(order)].astype(np.float32)


@pytest.mark.parametrize(
    ("store", "restore"),
    [
        (per_channel, dequantize),
        (lambda weight, gram: blockwise(weight, 8, 32, gram), in_blocks),
        (lambda weight, gram: blockwise(weight, 4, 32, gram), in_blocks),
        (lambda weight, gram: palette(weight, 3, gram), looked_up),
    ],
    ids=["int8", "int8-blocks", "int4-blocks", "palette"],
)
def test_it_halves_the_error_of_the_output_on_the_same_grid(store, restore):
    x, weight = correlated_inputs(192), rng.standard_normal((192, 64)).astype(np.float32)
    (nearest, grid), (compensated, same_grid) = store(weight, None), store(weight, x.T @ x)
    np.testing.assert_array_equal(grid, same_grid)
    assert snr(x, weight, restore(compensated, grid)) > snr(x, weight, restore(nearest, grid)) + 3


def test_the_codes_are_those_of_the_grid_points_it_chose():
    x, weight = correlated_inputs(70), rng.standard_normal((70, 9)).astype(np.float32)
    integers, scale = blockwise(weight, 4, 32, x.T @ x)
    steps = np.repeat(scale, 32, axis=0)[:70]
    chosen = gptq(weight, x.T @ x, lambda values, at: np.clip(np.rint(values / steps[at]), -8, 7) * steps[at])
    np.testing.assert_array_equal(integers * steps, chosen)


def test_it_is_the_algorithm_of_the_paper():
    x, weight = correlated_inputs(300), rng.standard_normal((300, 7)).astype(np.float32)
    gram = x.T @ x
    assert (gptq(weight, gram, halves) == textbook(weight, gram)).mean() > 0.98


def test_inputs_that_do_not_depend_on_each_other_are_rounded_to_the_nearest():
    weight = rng.standard_normal((20, 5)).astype(np.float32)
    for gram in (np.diag(rng.uniform(0.5, 2, 20)), np.zeros((20, 20))):
        np.testing.assert_array_equal(gptq(weight, gram, halves), halves(weight, None))


def test_each_matrix_of_a_batch_is_rounded_alone_on_its_own_grid():
    x, weight = correlated_inputs(40), rng.standard_normal((2, 3, 40, 5)).astype(np.float32)
    gram = x.T @ x
    integers, _ = per_channel(weight, gram)
    for at in np.ndindex(2, 3):
        one, _ = per_channel(weight[at], gram)
        np.testing.assert_array_equal(integers[at], one)


@pytest.mark.parametrize(
    ("gram", "told"),
    [
        (np.eye(3), r"is \[3, 3\]; a weight \[4, 2\] needs \[4, 4\]"),
        (np.ones((4, 4)) - 2 * np.eye(4), "not finite and positive semi-definite"),
        (np.full((4, 4), np.nan), "not finite and positive semi-definite"),
    ],
    ids=["shape", "indefinite", "nan"],
)
def test_a_gram_matrix_that_is_none_is_refused(gram, told):
    with pytest.raises(ValueError, match=told):
        gptq(np.ones((4, 2), np.float32), gram, halves)
