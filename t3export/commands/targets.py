"""`t3export targets`."""

from __future__ import annotations

import click
from rich.markup import escape

from exporter.target import Target, list_targets, load_target
from t3export.output import print_json, results, table

PLANNED = "planned: not built by this version"


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(name: str | None, as_json: bool) -> None:
    """List the targets, or one of them by NAME or path, with backend, precisions and needs.

    \b
    Examples:
      t3export targets
      t3export targets cpu
      t3export targets my_board.yaml --json
    """
    targets = [load_target(name)] if name else list_targets()
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


def missing(target: Target) -> list[str]:
    """Names of what this machine lacks for a target."""
    return [need.name for need in target.missing()]
