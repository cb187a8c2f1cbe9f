"""From a histogram of magnitudes to the range that activations are clipped to.

minmax: nothing is clipped. percentile: a share of the values is kept. entropy: the clipped and quantized distribution
loses least information (Migacz, "8-bit inference with TensorRT", GTC 2017). mse: rounding and clipping together have
the least mean square error.
"""

from __future__ import annotations

import numpy as np

from exporter.quantize.grid import LEVELS, IntegerGrid
from exporter.quantize.statistics import BINS, Statistics

ONE_SIDED = 1 / 4
_CANDIDATES = 512
_LEAST = 1 / 1024


def find_grid(statistics: Statistics, observer: str, percentile: float = 99.99, one_sided: bool = False) -> IntegerGrid:
    """The grid of a tensor's integers: around zero, or one-sided where that is allowed and pays.

    It pays where no value is further below zero than a quarter of the largest, as behind a GELU: levels that a grid
    around zero would leave unused halve the step.
    """
    if not (one_sided and statistics.maximum > 0 and -statistics.minimum <= ONE_SIDED * statistics.maximum):
        return IntegerGrid.around_zero(threshold(statistics, observer, percentile))
    low = statistics.minimum
    high = threshold(statistics, observer, percentile, 2 * LEVELS + 1, -low)
    return IntegerGrid(low, max(high, -low / ONE_SIDED))


def threshold(
    statistics: Statistics, observer: str, percentile: float = 99.99, levels: int = LEVELS, below: float = 0.0
) -> float:
    """The clipping magnitude of a tensor, > 0 and at most its maximum; the step is (threshold + below) / levels.

    A tensor of zeros gets 1.0, since a step must not be 0. `percentile` is in percent and only for that observer.
    `below`: what the levels reach below zero, where they are not all of magnitudes.
    """
    if statistics.maximum == 0.0:
        return 1.0
    match observer:
        case "minmax":
            found = statistics.maximum
        case "percentile":
            found = _percentile(statistics, percentile)
        case "entropy":
            found = _entropy(statistics, levels + 1)
        case "mse":
            found = _least_square_error(statistics, levels, below)
        case _:
            raise ValueError(f"no observer {observer!r}; minmax, percentile, entropy or mse")
    return min(found, statistics.maximum)


def _percentile(statistics: Statistics, percentile: float) -> float:
    """Linear between the borders of a bin."""
    below = _running(statistics.histogram)
    wanted = percentile / 100 * below[-1]
    upper = int(np.searchsorted(below, wanted))
    inside = (wanted - below[upper - 1]) / (below[upper] - below[upper - 1])
    return float((upper - 1 + inside) * statistics.edge / BINS)


def _entropy(statistics: Statistics, levels: int) -> float:
    """Kullback-Leibler divergence of the first i bins, quantized to `levels`, from the distribution clipped there.

    The bin of zero counts as its neighbour, as in NVIDIA's calibrators: exact zeros say nothing of the range. All
    sums over bins are differences of running sums.
    """
    counts = statistics.histogram.astype(np.float64)
    counts[0] = counts[1]
    ends = np.arange(levels, BINS + 1)
    total, inside = counts.sum(), _running(counts)[ends]
    outside = total - inside
    last = counts[ends - 1]
    own = (_running(_xlogx(counts))[ends] - _xlogx(last) + _xlogx(last + outside)) / total - np.log(total)

    borders = -(-ends[:, None] * np.arange(levels + 1) // levels)
    mass = np.diff(_running(counts)[borders])
    occupied = np.diff(_running(counts > 0)[borders])
    level = np.log(np.maximum(mass, 1) / np.maximum(occupied, 1)) - np.log(np.maximum(inside, 1))[:, None]
    cross = ((mass * level).sum(axis=1) + outside * level[:, -1]) / total

    divergence = np.where((last == 0) & (outside > 0), np.inf, own - cross)
    best = len(ends) - 1 - int(np.argmin(divergence[::-1]))
    return float(ends[best] * statistics.edge / BINS)


def _least_square_error(statistics: Statistics, levels: int, below: float) -> float:
    """The best of thresholds 1.4 % apart, with the values spread evenly inside each bin.

    The integral of the square error from 0 to x is n·s³/12 + (x - n·s)³/3, where n·s is what x becomes.
    """
    thresholds = statistics.maximum * np.geomspace(1, _LEAST, _CANDIDATES)
    step = (thresholds[:, None] + below) / levels
    most = np.round(thresholds[:, None] / step)
    borders = np.linspace(0, statistics.edge, BINS + 1)
    nearest = np.minimum(np.round(borders / step), most)
    integral = nearest * step**3 / 12 + (borders - nearest * step) ** 3 / 3
    return float(thresholds[np.argmin(np.diff(integral) @ statistics.histogram)])


def _running(values: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, 2 … values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _xlogx(values: np.ndarray) -> np.ndarray:
    return values * np.log(np.maximum(values, 1))
