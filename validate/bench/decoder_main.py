"""`python -m validate.bench.decoder_main`: our way to a mesh against the original's, at several grids."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from exporter.errors import T3Error
from exporter.families.registry import load_model
from exporter.machine.quiet import quiet
from exporter.recipe.recipe_file import load_recipe
from validate.bench.decoder import SECONDS, DecoderRow, compare


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path), metavar="RECIPE")
@click.option("--weights", help="Instead of the recipe's; those without a surface as in shaped:random:shap-e-300m.")
@click.option("--grids", default="64,128,256", show_default=True, help="Samples per edge, separated by commas.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of either side.")
@click.option("--seconds", type=float, default=SECONDS, show_default=True, help="For each grid, at least three rounds.")
@click.option("--no-check", is_flag=True, help="Do not ask for every point to count what is missed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    recipe: Path, weights: str | None, grids: str, threads: int, seconds: float, no_check: bool, as_json: bool
) -> None:
    """Time latents, or the planes of a picture, to mesh in turns with the original's own way in torch.

    Prints medians, the ratio with the middle half of the rounds, the share of points asked, and how many cells are
    missed.

    \b
    Examples:
      python -m validate.bench.decoder_main recipes/shape_e_fp32.yaml
      python -m validate.bench.decoder_main recipes/shape_e_fp32.yaml --weights shaped:random:shap-e-300m:ring --json
      python -m validate.bench.decoder_main recipes/triposr_fp32.yaml --weights shaped:random:triposr --grids 256
    """
    torch.set_num_threads(threads)
    notes = Console(stderr=True, highlight=False)
    with quiet("torch.onnx", "torch.utils._pytree", "torchao"), tempfile.TemporaryDirectory() as folder:
        wanted = load_recipe(recipe)
        model = load_model(wanted.model.family, weights or wanted.weights, **wanted.model_settings)
        sides = [int(grid) for grid in grids.split(",")]
        rows = list(compare(model, wanted, Path(folder), sides, threads, not no_check, seconds, notes.print))
    if as_json:
        Console(highlight=False).print_json(
            data={"weights": model.weights_source, "rows": [row.to_dict() for row in rows]}
        )
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(_table(rows))


def _table(rows: list[DecoderRow]) -> Table:
    columns = ("grid", "original s", "ours s", "times as fast", "of it field s", "points asked", "missed", "growth")
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        speed = row.speed
        table.add_row(
            f"{row.grid}³",
            f"{speed.baseline_seconds:.2f}",
            f"{speed.seconds:.3f}",
            f"{speed.ratio:.1f} ({speed.low:.1f}-{speed.high:.1f})",
            f"{row.field_seconds:.3f}",
            f"{row.samples.share:.1%}",
            "-" if row.missed is None else f"{row.missed} of {row.cells} cells",
            "-" if row.growth is None else f"{row.growth:.1f}x",
        )
    return table


if __name__ == "__main__":
    try:
        command()
    except T3Error as error:
        sys.exit(f"error: {error}")
