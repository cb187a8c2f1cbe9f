"""Rounding that makes each row's error good in the rows that are still to be rounded: GPTQ (Frantar et al., arXiv
2210.17323), in its form as Babai's nearest-plane algorithm (Chen et al., arXiv 2507.18553), which needs the Cholesky
factor of the Gram matrix and no inverse.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Gram = NDArray[np.floating]
Nearest = Callable[[Floats, tuple[int, ...]], Floats]

DAMPING = 0.01
_ROWS_AT_ONCE = 128


def gptq(weight: Floats, gram: Gram, nearest: Nearest, damping: float = DAMPING) -> Floats:
    """The point Q of a grid at which the product's error |x (W - Q)|², summed over the layer's inputs x, is small.

    `weight` [..., K, N]; `gram` [K, K], the sum of xᵀx, which all matrices of a batched weight share;
    `nearest(values [N], (..., k))` rounds values to the grid of row k. Returns grid points [..., K, N].

    The rows with the largest inputs are rounded first, when all others can still make their errors good. `damping`
    times the mean of the Gram matrix's diagonal is added to that diagonal; it bounds how far weights move for inputs
    that were hardly seen.

    Raises ValueError when the Gram matrix is not [K, K], not finite or not positive semi-definite.
    """
    rows = weight.shape[-2]
    if gram.shape != (rows, rows):
        raise ValueError(f"the Gram matrix is {list(gram.shape)}; a weight {list(weight.shape)} needs [{rows}, {rows}]")
    order = np.argsort(np.diagonal(gram), kind="stable")
    factor = _factor(gram[np.ix_(order, order)], damping)
    rounded = np.empty_like(weight)
    for matrix in np.ndindex(weight.shape[:-2]):
        _round(weight, rounded, matrix, order, factor, nearest)
    return rounded


def _factor(gram: Gram, damping: float) -> Floats:
    """Lower Cholesky factor of the damped Gram matrix."""
    damped = gram.astype(np.float64)
    mean = float(np.trace(damped)) / len(damped)
    damped[np.diag_indices_from(damped)] += damping * mean if mean > 0 else 1.0
    try:
        factor = np.linalg.cholesky(damped).astype(np.float32)
    except np.linalg.LinAlgError:
        factor = np.full_like(damped, np.nan)
    if not np.isfinite(factor).all():
        raise ValueError("the Gram matrix is not finite and positive semi-definite; it has to be a sum of xᵀx")
    return factor


def _round(
    weight: Floats,
    rounded: Floats,
    matrix: tuple[int, ...],
    order: NDArray[np.intp],
    factor: Floats,
    nearest: Nearest,
) -> None:
    """Fills one matrix of `rounded`, the last row of `order` first.

    With G = L Lᵀ the squared error is |Lᵀ E|² for E = W - Q, rows in order. Row i of Lᵀ E, Σ_{j>=i} L[j, i] E[j],
    depends on no row before i, and is least when W[i] + Σ_{j>i} L[j, i] E[j] / L[i, i] is rounded to the nearest.
    """
    error = np.zeros_like(weight[matrix])
    for end in range(len(order), 0, -_ROWS_AT_ONCE):
        start = max(0, end - _ROWS_AT_ONCE)
        carried = factor[end:, start:end].T @ error[end:]
        for i in range(end - 1, start - 1, -1):
            at = (*matrix, int(order[i]))
            owed = carried[i - start] + factor[i + 1 : end, i] @ error[i + 1 : end]
            rounded[at] = nearest(weight[at] + owed / factor[i, i], at)
            error[i] = weight[at] - rounded[at]
