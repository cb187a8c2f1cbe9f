"""What the activations of a program are like on recorded inputs: ranges, histograms and second moments.

Guidance combines the two halves of a batch to u + g·(c - u). To first order an error dW of a layer's weight changes
that by z·dW, with z = g·x_c + (1 - g)·x_u of the layer's inputs, so that the sum of z zᵀ ("guided gram") measures what
the sampler sees, where the sum of x xᵀ ("gram", as in GPTQ, arXiv 2210.17323) measures each half alone. Their
diagonals alone ("energies") cost a thousandth of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BINS = 2048
# What the passes over a piece of values leave in the processor's cache.
_NUMBERS_AT_ONCE = 2**16


@dataclass
class Statistics:
    """Of one activation tensor [..., K] over all shards; whatever stands before the last dimension is a row.

    `maximum`: the largest magnitude. `minimum`: the least value, at most 0. `channel_maximum`: float32 [K] magnitudes.
    `histogram`: int64 [2048], magnitudes in even bins over [0, `edge`), the least power of two above the maximum, so
    that the counts do not depend on the order in which values came (0 while all values are). `rows`: how many vectors
    of K were seen. `gram`, `guided_gram`: float32 [K, K], sums over rows, and `energy`, `guided_energy`: float64 [K],
    their diagonals, each only where it was asked for.
    """

    maximum: float
    channel_maximum: np.ndarray
    histogram: np.ndarray
    edge: float
    rows: int
    minimum: float = 0.0
    gram: np.ndarray | None = None
    guided_gram: np.ndarray | None = None
    energy: np.ndarray | None = None
    guided_energy: np.ndarray | None = None

    @classmethod
    def of_nothing(cls, channels: int) -> Statistics:
        """Before the first value."""
        return cls(0.0, np.zeros(channels, np.float32), np.zeros(BINS, np.int64), 0.0, 0)

    def add(self, values: np.ndarray) -> None:
        """Count the values [..., K] in, all of them finite."""
        rows = _rows(values)
        low, high = rows.min(axis=0), rows.max(axis=0)
        self.rows += len(rows)
        self.minimum = min(self.minimum, float(low.min()))
        self.channel_maximum = np.maximum(self.channel_maximum, np.maximum(high, -low))
        self.maximum = float(self.channel_maximum.max())
        self._widen()
        exponent = math.frexp(BINS)[1] - math.frexp(self.edge)[1]
        for part in _parts(rows):
            magnitudes = np.abs(part)
            # The same number either way, and much faster where the power itself is a float32.
            bins = magnitudes * np.float32(2.0**exponent) if exponent < 128 else np.ldexp(magnitudes, exponent)
            self.histogram += np.bincount(bins.astype(np.uint16).ravel(), minlength=BINS)

    def add_gram(self, values: np.ndarray, scale: float | None = None) -> None:
        """Count the values [..., K] into `gram`; with a guidance scale those are [2·B, ..., K], the unconditional half
        first, and count into `guided_gram` too."""
        self.gram = _sum(self.gram, _rows(values))
        if scale is not None:
            unconditional, conditional = np.split(_rows(values), 2)
            self.guided_gram = _sum(self.guided_gram, _guided(unconditional, conditional, scale))

    def add_energy(self, values: np.ndarray, scale: float | None = None) -> None:
        """Count the values into `energy` and, with a guidance scale, into `guided_energy`, as `add_gram` does."""
        rows = _rows(values)
        self.energy = _add_squares(self.energy, _parts(rows))
        if scale is not None:
            halves = zip(*map(_parts, np.split(rows, 2)), strict=True)
            self.guided_energy = _add_squares(self.guided_energy, (_guided(u, c, scale) for u, c in halves))

    def _widen(self) -> None:
        """The least power of two above the maximum; where that doubles the edge, two bins become one."""
        edge = 2.0 ** math.frexp(self.maximum)[1] if self.maximum else 0.0
        while 0.0 < self.edge < edge:
            self.histogram = np.concatenate([self.histogram.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, np.int64)])
            self.edge *= 2.0
        self.edge = edge


def save(found: Mapping[str, Statistics], folder: Path) -> None:
    """Write the statistics of each tensor into a `.npz` of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, (tensor, statistics) in enumerate(found.items()):
        arrays = {name: value for name, value in vars(statistics).items() if value is not None}
        np.savez(folder / f"{index:04d}.npz", allow_pickle=False, tensor=np.array(tensor), **arrays)


def load(folder: Path) -> dict[str, Statistics]:
    """What `save` wrote, in the same order."""
    found = {}
    for path in sorted(folder.glob("[0-9]*.npz")):
        with np.load(path, allow_pickle=False) as file:
            values: dict[str, Any] = {name: array if array.ndim else array.item() for name, array in file.items()}
        tensor = values.pop("tensor")
        found[tensor] = Statistics(**values)
    return found


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    """A few of the rows [N, K] at a time."""
    count = max(1, _NUMBERS_AT_ONCE // rows.shape[-1])
    return (rows[start : start + count] for start in range(0, len(rows), count))


def _sum(gram: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    product = rows.T @ rows
    return product if gram is None else np.add(gram, product, out=gram)


def _add_squares(energy: np.ndarray | None, parts: Iterable[np.ndarray]) -> np.ndarray:
    squares = [np.einsum("nk,nk->k", part, part) for part in parts]
    total = np.asarray(np.sum(squares, axis=0, dtype=np.float64))
    return total if energy is None else energy + total


def _guided(unconditional: np.ndarray, conditional: np.ndarray, scale: float) -> np.ndarray:
    return scale * conditional + (1.0 - scale) * unconditional
