"""`t3export targets`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from exporter.targets.target import Target, list_targets, load_target
from t3export.output import print_json, results, table
from t3export.target_check import check_data, check_markdown, check_table, read_recipes

PLANNED = "planned: not built by this version"


@click.command()
@click.argument("name", required=False)
@click.option("--check", is_flag=True, help="What is installed, what each target takes, and why not the rest.")
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Recipes to check the targets with; may be repeated.  [default: those in ./recipes]",
)
@click.option("--markdown", "as_markdown", is_flag=True, help="With --check: recipes and targets as a Markdown table.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(name: str | None, check: bool, recipes: tuple[Path, ...], as_markdown: bool, as_json: bool) -> None:
    """List the targets, or one of them by NAME or path, with backend, precisions and needs.

    \b
    Examples:
      t3export targets
      t3export targets cpu
      t3export targets --check
      t3export targets web --check --recipe recipes/shape_e_int8.yaml
      t3export targets --check --markdown
      t3export targets my_board.yaml --json
    """
    if (recipes or as_markdown) and not check:
        raise click.UsageError("--recipe and --markdown go with --check")
    targets = [load_target(name)] if name else list_targets()
    if check:
        _check(targets, recipes, as_markdown, as_json)
        return
    if as_json:
        print_json([target.model_dump(mode="json") | {"missing": missing(target)} for target in targets])
        return
    overview = table("target", "status", "backend", "processor", "precisions", "opset", "needs")
    for target in targets:
        overview.add_row(
            f"[bold]{target.name}[/]",
            "complete" if target.status == "complete" else PLANNED,
            target.backend,
            target.processor,
            " ".join(target.precisions),
            str(target.opset or "–"),
            escape(", ".join(need.name for need in target.needs)),
        )
    results().print(overview)
    if name:
        results().print(escape(targets[0].description))


def _check(targets: list[Target], paths: tuple[Path, ...], as_markdown: bool, as_json: bool) -> None:
    recipes = read_recipes(paths)
    if as_json:
        print_json(check_data(targets, recipes))
    elif as_markdown:
        click.echo(check_markdown(targets, recipes), nl=False)
    else:
        results().print(check_table(targets, recipes))


def missing(target: Target) -> list[str]:
    """Names of what this machine lacks for a target."""
    return [need.name for need in target.missing()]
