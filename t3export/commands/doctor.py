"""`t3export doctor`."""

from __future__ import annotations

import click
from rich.markup import escape

from exporter.errors import EnvironmentProblem
from exporter.runtime.onnxruntime import BOTH_INSTALLED, NONE_INSTALLED, installed_distributions
from exporter.target import list_targets
from t3export.machine import describe_machine, extras
from t3export.output import print_json, results, table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """Show what is installed and what each target lacks. Exit code 6 when bundles cannot run here.

    \b
    Examples:
      t3export doctor
      t3export doctor --json
    """
    targets = list_targets()
    lacking = {target.name: [f"{need.name} ({need.side})" for need in target.missing()] for target in targets}
    runtimes = installed_distributions()
    problem = {0: NONE_INSTALLED, 1: None}.get(len(runtimes), BOTH_INSTALLED)
    if as_json:
        print_json(
            {
                "machine": describe_machine(),
                "packages": extras(),
                "targets": {t.name: {"status": t.status, "lacks": lacking[t.name]} for t in targets},
                "problem": problem,
            }
        )
    else:
        _print(targets, lacking)
    if problem:
        raise EnvironmentProblem(problem)


def _print(targets: list, lacking: dict[str, list[str]]) -> None:
    console = results()
    machine = table("machine", "")
    for name, value in describe_machine().items():
        machine.add_row(name, escape(value))
    console.print(machine)
    packages = table("\nextra", "\ninstalled", "\nmissing")
    for extra, versions in extras().items():
        present = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        packages.add_row(extra, escape(present), escape(", ".join(n for n, version in versions.items() if not version)))
    console.print(packages)
    overview = table("\ntarget", "\nstate", "\nlacks")
    for target in targets:
        state = "planned: not built by this version"
        if target.status == "complete":
            state = "[green]ready[/]" if not lacking[target.name] else "[yellow]incomplete[/]"
        overview.add_row(target.name, state, escape(", ".join(lacking[target.name])))
    console.print(overview)
