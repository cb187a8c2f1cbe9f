"""Arrays of a bundle beside those of the reference, as figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exporter.workshop.parity import Parity, compare
from validate.ladder.result import Figure


def parity_figures(
    stage: str,
    tensor: str,
    reference: np.ndarray,
    actual: np.ndarray,
    *,
    snr_limit_db: float | None = None,
    relative_limit: float | None = None,
    where: str = "",
) -> list[Figure]:
    """Max abs, relative L2, cosine and SNR; either of SNR and relative L2 may decide. Shapes must agree."""
    if reference.shape != actual.shape:
        return [shape_mismatch(stage, tensor, reference, actual, where)]
    parity = compare(reference, actual)
    return list(_figures(stage, tensor, parity, snr_limit_db, relative_limit, where))


def shape_mismatch(stage: str, tensor: str, reference: np.ndarray, actual: np.ndarray, where: str = "") -> Figure:
    """A miss: tensors of different shapes have nothing else to be said about them."""
    measure = f"shape {list(actual.shape)} instead of {list(reference.shape)}, SNR"
    return Figure(stage, tensor, measure, float("-inf"), "dB", limit=0.0, where=where)


def _figures(
    stage: str, tensor: str, parity: Parity, snr_limit_db: float | None, relative_limit: float | None, where: str
) -> Iterator[Figure]:
    yield Figure(stage, tensor, "SNR", parity.snr_db, "dB", limit=snr_limit_db, where=where)
    yield Figure(stage, tensor, "relative L2", parity.relative_l2, "", relative_limit, "at most", where)
    yield Figure(stage, tensor, "cosine", parity.cosine, where=where)
    yield Figure(stage, tensor, "max abs", parity.max_abs, where=where)
