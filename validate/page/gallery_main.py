"""`python -m validate.page.gallery_main`: a page of what bundles make, which turns under the finger."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from exporter.errors import RecipeError, T3Error
from exporter.files.atomic import write_atomically
from exporter.manifest import REPORTS
from validate.bench.latency import require_bench
from validate.ladder.words import size
from validate.page.gallery_objects import gallery_of
from validate.page.gallery_page import gallery_page

PAGE, BENCH = "objects.html", "bench.json"


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=f"Folder that {PAGE} goes to.")
@click.option("--objects", type=click.IntRange(1), default=4, show_default=True, help="Of each bundle.")
def command(bundles: tuple[Path, ...], output: Path, objects: int) -> None:
    """Write objects.html, one file of at most 3 MB that needs no network and no server: what validated bundles of
    trained weights make of the first prompts, or pictures, of their validation, with its verdict and their size.

    A time is shown of a bundle with reports/bench.json, which `t3export bench BUNDLE --json` prints.

    \b
    Example:
      python -m validate.page.gallery_main artifacts/shape_e_int8/cpu artifacts/triposr_int8/cpu -o docs/gallery
    """
    notes = Console(stderr=True, highlight=False)
    benches = [_bench_of(folder) for folder in bundles]
    with Progress(console=notes, transient=True) as progress:
        task = progress.add_task("objects", total=len(bundles) * objects)
        galleries = [gallery_of(folder, objects, lambda: progress.advance(task)) for folder in bundles]
    page = gallery_page(galleries, benches)
    write_atomically(output / PAGE, page)
    Console(highlight=False).print(f"{output / PAGE} ({size(len(page))})", soft_wrap=True)


def _bench_of(folder: Path) -> dict[str, Any] | None:
    path = folder / REPORTS / BENCH
    if not path.is_file():
        return None
    try:
        return require_bench(json.loads(path.read_text(encoding="utf-8")), str(path))
    except ValueError as error:
        raise RecipeError(f"{path}: no JSON document: {error}") from None


if __name__ == "__main__":
    try:
        command()
    except T3Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
