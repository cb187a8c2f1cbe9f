"""`t3export table`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from exporter.files.cache import Cache
from exporter.machine.processor import usable_processors
from exporter.manifest import MANIFEST, read_manifest
from exporter.targets.target import load_target, require_measurable
from t3export.commands.build import ARTIFACTS
from t3export.machine import describe_machine
from t3export.options import checked_recipe, recipe_options
from t3export.output import notes, print_json, print_note, results
from t3export.progress import span
from t3export.prompts import judged_choice
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines

if TYPE_CHECKING:
    from exporter.recipe.recipe import Recipe
    from exporter.targets.target import Target
    from validate.table.make import TableSettings
    from validate.table.table_result import Result, Table


@click.command()
@recipe_options
@click.option("--target", "target_name", default="cpu", show_default=True, help="A target's name, or your own file.")
@click.option("--rows", metavar="A,B", default="", help="Only these rows: names, or recipes of your own by path.")
@click.option(
    "--peers", is_flag=True, help="Also other quantizers, installed in environments of their own (gigabytes)."
)
@click.option("--prompts", metavar="N|FILE", help="How many shipped prompts, or a .txt or .json file of your own.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=2, show_default=True, help="Objects of each prompt.")
@click.option("--evaluator", type=click.Path(path_type=Path), help="A CLIP folder in the hub's layout that judges.")
@click.option("--workers", type=click.IntRange(0, 64), help="Processes that rasterise meshes.  [default: 1 of 2 cores]")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="Threads of each runtime.  [default: all]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="[default: artifacts/<recipe>/table]"
)
@click.option("--markdown", "as_markdown", is_flag=True, help="The table as Markdown on stdout.")
@click.option("--json", "as_json", is_flag=True, help="The table as one JSON document on stdout.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    weights: str | None,
    target_name: str,
    rows: str,
    peers: bool,
    prompts: str | None,
    seeds: int,
    evaluator: Path | None,
    workers: int | None,
    threads: int,
    output: Path | None,
    as_markdown: bool,
    as_json: bool,
) -> None:
    """What each quantization of a RECIPE's model costs in quality and gives in bytes, time and memory.

    Builds the original, naive INT8 of the linear layers and of everything, dynamic INT8, 4-bit weights and the tuned
    recipes beside RECIPE, and measures them on the same prompts, seeds and machine: CLIP-R-Precision with a paired
    test, guided SNR, latent drift, Chamfer distance, bytes, times in turns with fp32, peak memory.

    Rows that were measured before are read again, so an interrupted table goes on where it was. The bundles stay in
    the output folder. 'stress:WEIGHTS' are weights with synthetic outliers.

    In place of a recipe, an adopted bundle is measured beside its float programs; --rows are further ones of the same.

    \b
    Examples:
      t3export table recipes/shape_e_fp32.yaml
      t3export table recipes/shape_e_fp32.yaml --rows int8_linear,tuned_int8 --prompts 300
      t3export table recipes/shape_e_fp32.yaml --weights stress:shap-e-mini:64
      t3export table recipes/shape_e_fp32.yaml --rows my_policy.yaml --peers --markdown
      t3export table artifacts/theirs_int8 --rows artifacts/theirs_int4
    """
    adopted = (recipe / MANIFEST).is_file()
    if adopted and (overrides or weights or peers):
        raise click.UsageError("--set, --weights and --peers are of a recipe, and an adopted bundle has none")
    quiet_libraries()
    from validate.table.make import TableSettings
    from validate.table.show_table import console_table, markdown

    settings = TableSettings(
        rows=tuple(name.strip() for name in rows.split(",") if name.strip()),
        peers=peers,
        prompts=judged_choice(prompts),
        seeds=seeds,
        evaluator=evaluator,
        workers=usable_processors() // 2 if workers is None else workers,
        threads=threads,
    )
    if adopted:
        folder = output or ARTIFACTS / read_manifest(recipe).recipe["name"] / "table"
        table = _of_bundles(recipe, settings, folder)
    else:
        checked, target = checked_recipe(recipe, overrides, weights), load_target(target_name)
        require_measurable(target)
        folder = output or ARTIFACTS / checked.name / "table"
        table = _of_recipe(recipe, checked, target, settings, folder)
    if as_json:
        print_json(table.to_dict() | {"machine": describe_machine()})
    elif as_markdown:
        click.echo(markdown(table), nl=False)
    else:
        results().print(console_table(table))
        print_note(f"bundles: {folder}")


def _of_recipe(path: Path, recipe: Recipe, target: Target, settings: TableSettings, folder: Path) -> Table:
    from validate.table.make import make_table

    with StepLines() as progress:
        return make_table(path, recipe, target, settings, folder, cache=Cache(), progress=progress, on_row=_Rows())


def _of_bundles(first: Path, settings: TableSettings, folder: Path) -> Table:
    from validate.table.adopted_rows import adopted_table

    bundles = [first, *map(Path, settings.rows)]
    with StepLines() as progress:
        return adopted_table(bundles, settings, folder, cache=Cache(), progress=progress, on_row=_Rows())


class _Rows:
    """Tells of each row as it is done, and how long the others will take if they take as long."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()

    def __call__(self, row: Result, done: int, total: int) -> None:
        state = f"not measured: {row.reason.splitlines()[0]}" if row.reason else "measured"
        rest = span((time.perf_counter() - self.begin) * (total - done) / done)
        left = f", about {rest} left" if done < total else ""
        notes().print(f"[bold]{escape(row.title)}[/] {escape(state)} ({done} of {total}{left})")
