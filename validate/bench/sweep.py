"""How time and memory grow: against prompts, evaluations, the grid of the mesh, or the size of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from exporter.machine.meter import Progress, metered
from exporter.machine.timing import in_turns, timed
from validate.bench.fresh import fresh
from validate.bench.grids import TextGrid, Told, megabytes, seconds
from validate.bench.machine import describe, in_words
from validate.bench.measure import BenchSettings
from validate.bench.sides import BundleSide
from validate.bench.sweep_points import SWEEPS, Point

# A sampler of many steps stops after this many of its evaluations.
HEADERS = {"steps": "evaluations"}


@dataclass(frozen=True)
class Sweep:
    """All points of a sweep over one quantity."""

    over: str
    timed: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    points: list[Point]


def run_sweep(over: str, folder: Path, given: Sequence[str], settings: BenchSettings, progress: Progress) -> Sweep:
    """Time all points in turns, and measure the memory of each in a fresh process.

    `given`: the points, instead of the sweep's own. Raises RecipeError for a point that is none.
    """
    machine = describe(settings.threads)
    bundle = settings.open(folder)
    side = BundleSide(bundle, settings.threads)
    work = replace(settings, picture=0).work(bundle)
    order = replace(settings.order(bundle, work), verify=False)
    make, told = SWEEPS[over]
    with TemporaryDirectory(prefix="t3export-sweep-", dir=folder.parent) as temporary:
        points = make(given, side, work, order, Path(temporary), progress)
        for point in points:
            with metered(f"warm up {point.label}", progress, []):
                point.action()
        by_label = {point.label: point for point in points}
        for number, turn in enumerate(in_turns(list(by_label), settings.rounds)):
            with metered(f"round {number + 1} of {settings.rounds}", progress, []):
                for label in turn:
                    by_label[label].seconds.append(timed(by_label[label].action))
        for point in points if settings.fresh else []:
            with metered(f"memory at {point.label}", progress, []):
                point.peak_bytes = fresh(point.order).peak_bytes
    weights = bundle.manifest.weights
    facts = {"bundle": bundle.manifest.name, "weights": weights.source, "grid": work.grid, "rounds": settings.rounds}
    return Sweep(over, told, machine, facts, points)


def exponent(sizes: Sequence[float], figures: Sequence[float]) -> float | None:
    """The slope of a straight line through the logarithms, by least squares; None of fewer than two points."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(figures), 1)[0])


def tell_sweep(sweep: Sweep) -> Told:
    """The points, with the exponent through all of them, and through the last two where what is fixed weighs least."""
    sizes = [point.size for point in sweep.points]
    figures = {
        "seconds": [point.median for point in sweep.points],
        "memory": [float(point.peak_bytes) for point in sweep.points],
    }
    fits = {
        what: {"all": exponent(sizes, found), "last_two": exponent(sizes[-2:], found[-2:])}
        for what, found in figures.items()
        if all(found)
    }
    rows = [[point.label, seconds(point.median), megabytes(point.peak_bytes or None)] for point in sweep.points]
    rounds = sweep.settings["rounds"]
    powers = [f"{what}: {_power(fit['all'])}, {_power(fit['last_two'])} at the end." for what, fit in fits.items()]
    words = [
        *powers,
        f"Seconds: {sweep.timed}; medians of {rounds} rounds in which every point had its turn. Memory: the peak of a "
        "fresh process.",
        f"{sweep.settings['bundle']}, {sweep.settings['weights']}, on {in_words(sweep.machine)}.",
    ]
    points = [
        {
            "label": point.label,
            "size": point.size,
            "seconds": point.seconds,
            "median": point.median,
            "peak_bytes": point.peak_bytes or None,
        }
        for point in sweep.points
    ]
    data = {"over": sweep.over, "machine": sweep.machine, "settings": sweep.settings, "points": points}
    return Told(
        data | {"exponents": fits}, [TextGrid((HEADERS.get(sweep.over, sweep.over), "seconds", "peak MB"), rows)], words
    )


def _power(power: float | None) -> str:
    return "one point tells no exponent" if power is None else f"exponent {power:.2f}"
