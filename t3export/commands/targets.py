"""`t3export targets`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from exporter.targets.target import Target, list_targets, load_target
from t3export.explained import print_fields
from t3export.output import print_json, results, table
from t3export.target_check import check_data, check_markdown, check_table, read_recipes

DEFAULT = "list"
PLANNED = "planned: not built by this version"


class Targets(click.Group):
    """`list` is what happens where no other command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=Targets)
def command() -> None:
    """List the targets, look at one of them, check what becomes of recipes on them, or explain their fields.

    \b
    Examples:
      t3export targets
      t3export targets cpu
      t3export targets --check
      t3export targets my_board.yaml --check --recipe recipes/shape_e_int8.yaml
      t3export targets explain

    `t3export targets` and `t3export targets NAME` are short for `t3export targets list [NAME]`.
    """


@command.command(DEFAULT)
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
def list_command(name: str | None, check: bool, recipes: tuple[Path, ...], as_markdown: bool, as_json: bool) -> None:
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


@command.command()
@click.argument("field", required=False)
@click.option("--json", "as_json", is_flag=True, help="The JSON schema of a target, or of FIELD, on stdout.")
def explain(field: str | None, as_json: bool) -> None:
    """Describe every field of a target file, or one FIELD or section.

    \b
    Examples:
      t3export targets explain
      t3export targets explain session
      t3export targets explain tensorrt.workspace_mb --json
    """
    print_fields(Target, field, "targets explain", as_json)


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
