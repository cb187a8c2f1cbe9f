"""`python -m validate.bench.surface_main`: our marching cubes against scikit-image's, on solids at several grids."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import skimage.measure
from rich.console import Console
from rich.table import Table
from scipy.spatial import KDTree

from exporter.machine.timing import Speed, interleaved
from exporter.runtime.surface.extract import OFF_SURFACE
from exporter.runtime.surface.marching_cubes import marching_cubes

SOLIDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ball": lambda p: 0.7 - np.linalg.norm(p, axis=-1),
    "ring": lambda p: 0.2 - np.hypot(np.hypot(p[..., 0], p[..., 1]) - 0.6, p[..., 2]),
    "gyroid": lambda p: 0.1 - np.abs((np.sin(6 * p) * np.cos(6 * np.roll(p, 1, axis=-1))).sum(axis=-1)),
}
SECONDS = 5.0


@click.command()
@click.option("--grids", default="64,128,256", show_default=True, help="Samples per edge, separated by commas.")
@click.option("--seconds", type=float, default=SECONDS, show_default=True, help="For each row, at least three rounds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(grids: str, seconds: float, as_json: bool) -> None:
    """Time both on the same samples, in turns. Prints how many vertices each makes, how far ours are at most from the
    nearest of the other's, in cells, and its time over ours with the middle half of the rounds.

    \b
    Examples:
      python -m validate.bench.surface_main
      python -m validate.bench.surface_main --grids 128 --seconds 20 --json
    """
    rows = [compared(solid, int(grid), seconds) for solid in SOLIDS for grid in grids.split(",")]
    if as_json:
        Console(highlight=False).print_json(data={"rows": rows})
        return
    table = Table("solid", "grid", "vertices", "scikit-image's", "farthest", "times as fast", box=None, pad_edge=False)
    for row in rows:
        ratio = f"{row['ratio']:.2f} ({row['low']:.2f}–{row['high']:.2f})"
        counts = f"{row['vertices']:,}", f"{row['theirs']:,}"
        table.add_row(row["solid"], str(row["grid"]), *counts, f"{row['farthest']:.1e}", ratio)
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(table)


def compared(solid: str, grid: int, seconds: float) -> dict[str, Any]:
    """One row of the table, as JSON data."""
    samples = sampled(solid, grid)
    ours, _ = marching_cubes(samples)
    theirs, *_ = skimage.measure.marching_cubes(samples, 0.0)
    sides = {
        "scikit-image": lambda: skimage.measure.marching_cubes(samples, 0.0),
        "ours": lambda: marching_cubes(samples),
    }
    taken = interleaved(sides, seconds)
    speed = Speed.of(taken["scikit-image"], taken["ours"])
    farthest = float(KDTree(theirs).query(ours)[0].max())
    counts = {"vertices": len(ours), "theirs": len(theirs), "farthest": farthest}
    return {"solid": solid, "grid": grid, **counts, "ratio": speed.ratio, "low": speed.low, "high": speed.high}


def sampled(solid: str, grid: int) -> np.ndarray:
    """Signed distances float32 [grid + 2] cubed, as the runtime has them: none is 0, all at the border are outside."""
    axis = np.linspace(-1, 1, grid)
    values = SOLIDS[solid](np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1))
    values = np.where(values > 0, np.maximum(values, OFF_SURFACE), np.minimum(values, -OFF_SURFACE))
    return np.pad(values.astype(np.float32), 1, constant_values=-1.0)


if __name__ == "__main__":
    command(prog_name="python -m validate.bench.surface_main")
