"""`t3export doctor`."""

from __future__ import annotations

from typing import Any

import click
from rich.markup import escape

from exporter.errors import EnvironmentProblem
from exporter.machine.onnxruntime_packages import installed_distributions
from exporter.runtime.sessions.onnxruntime import BOTH_INSTALLED, NONE_INSTALLED
from exporter.targets.stand_in import hardware_elsewhere
from exporter.targets.target import Target, list_targets
from t3export.machine import describe_machine, extras
from t3export.output import print_json, results, table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """Show what is installed, and what each target lacks here and runs on. Exit code 6 when bundles cannot run here.

    \b
    Examples:
      t3export doctor
      t3export doctor --json
    """
    targets = list_targets()
    runtimes = installed_distributions()
    problem = {0: NONE_INSTALLED, 1: None}.get(len(runtimes), BOTH_INSTALLED)
    if as_json:
        print_json(
            {
                "machine": describe_machine(),
                "packages": extras(),
                "targets": {target.name: _data(target) for target in targets},
                "problem": problem,
            }
        )
    else:
        _print(targets)
    if problem:
        raise EnvironmentProblem(problem)


def _print(targets: list[Target]) -> None:
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
    if not any(extras().values()):
        console.print("t3export runs from its source: what its extras need is not known. pip install -e . tells")
    overview = table("\ntarget", "\nstate", "\nlacks here", "\nruns on")
    for target in targets:
        told = _data(target)
        runs_on = ", ".join(told["runs_on"]) or "this machine"
        overview.add_row(target.name, _state(target), escape(", ".join(told["lacks"])), escape(runs_on))
    console.print(overview)


def _data(target: Target) -> dict[str, Any]:
    """`runs_on`: the hardware, where this machine is not known to be it."""
    lacking = [f"{need.name} (to {need.side})" for need in target.missing()]
    return {"status": target.status, "lacks": lacking, "runs_on": hardware_elsewhere(target)}


def _state(target: Target) -> str:
    if target.status == "planned":
        return "planned: not built by this version"
    if target.missing("run") and target.backend == "tensorrt" and not target.missing("build"):
        return "[green]ready[/] to build a kit, which is finished on the device"
    if target.missing("run"):
        return "[yellow]cannot run here[/]"
    elsewhere = bool(hardware_elsewhere(target))
    if target.missing("build"):
        cannot = "cannot build: pip install 't3export\\[build]'"
        return f"[yellow]{cannot}[/]" if elsewhere else f"[green]runs[/], {cannot}"
    return "[green]ready[/] to build" if elsewhere else "[green]ready[/]"
