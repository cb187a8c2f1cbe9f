"""`t3export diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from exporter.manifest import read_manifest
from t3export.commands.report import read_bench
from t3export.opening import note_beside
from t3export.output import print_json, print_note, results, table

if TYPE_CHECKING:
    from validate.diff import Diff

LONGEST = 12


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--bench", type=click.Path(path_type=Path), help="Speed: a file of `t3export bench A B --compare --json`."
)
@click.option("--html", type=click.Path(path_type=Path), help="The same as a page, written here.")
@click.option("--full", is_flag=True, help="Every change; long sections are cut short otherwise.")
@click.option("--json", "as_json", is_flag=True, help="All changes as one JSON document on stdout.")
def command(a: Path, b: Path, bench: Path | None, html: Path | None, full: bool, as_json: bool) -> None:
    """Show what changed from bundle A to bundle B: recipe, weights, policy, files, sizes, speed and quality.

    Quality is compared where both were validated: the paired test on prompts and seeds that are in both reports.

    Exit codes as diff(1): 0 when nothing differs that can change what the bundles make, 1 when something does, more
    for trouble. Names, descriptions, tolerances and versions of the toolchain are told and do not count while every
    file is the same.

    \b
    Examples:
      t3export diff artifacts/shape_e_fp32/cpu artifacts/shape_e_int8/cpu
      t3export diff old/cpu artifacts/shape_e_int8/cpu --html diff.html
      t3export diff old/cpu new/cpu --bench bench.json --json
    """
    from validate.diff import diff_bundles
    from validate.page.diff_page import write_diff_page

    found = diff_bundles(a, b, read_bench(bench) if bench else None)
    for folder in dict.fromkeys((a, b)):
        note_beside(folder, read_manifest(folder))
    if html:
        write_diff_page(found, html)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, full)
    if html:
        print_note(f"page: {html}")
    if found.differ:
        raise click.exceptions.Exit(1)


def _print(found: Diff, full: bool) -> None:
    shown = table("", "what", "A", "B")
    sections = list(dict.fromkeys(change.section for change in found.changes))
    for section in sections:
        own = [change for change in found.changes if change.section == section]
        for i, change in enumerate(own if full else own[:LONGEST]):
            shown.add_row("" if i else f"[bold]{section}[/]", *(escape(x) for x in (change.what, change.a, change.b)))
        if not full and len(own) > LONGEST:
            shown.add_row("", f"[dim]and {len(own) - LONGEST} more: --full[/]", "", "")
    console = results()
    if sections:
        console.print(shown)
    console.print(escape(f"speed: {found.speed_told}"))
    console.print(escape(_quality(found)))
    if not found.differ:
        console.print("Nothing differs that can change what they make.")


def _quality(found: Diff) -> str:
    from validate.ladder.words import between, loss_shown

    quality = found.quality
    if quality is None:
        return f"quality: not compared: {found.quality_left_out}"
    return (
        f"quality: R-Precision {quality.a:.1f} % in A, {quality.b:.1f} % in B on {quality.objects} objects of both; "
        f"difference {quality.difference:+.1f} points ({quality.low:+.1f} to {quality.high:+.1f}, 95 %), McNemar p = "
        f"{quality.p:.3g}; {loss_shown(quality.objects, quality.smallest_loss)}; cosine "
        f"{quality.cosine_difference:+.4f} ({between(quality.cosine_low, quality.cosine_high, '+.4f')})"
    )
