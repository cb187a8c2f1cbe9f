"""`t3export bisect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from exporter.errors import ValidationFailed
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from t3export.output import print_json, print_note, results, table
from t3export.progress import Bar
from t3export.quiet import quiet_libraries

if TYPE_CHECKING:
    from validate.bisect.search import Culprit
    from validate.bisect.verdicts import BisectFinding

NODES_SHOWN = 12


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--stage", help="This stage only, instead of those of the rung that failed.")
@click.option("--tolerance", type=float, metavar="DB", help="Least SNR of a stage's outputs.  [default: the recipe's]")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("reproducer"), show_default=True,
              help="Folder of the reproducer.")  # fmt: skip
@click.option("--weights", metavar="W", help="Where the weights are now, if they were moved.")
@click.option("--json", "as_json", is_flag=True, help="What was found as one JSON document on stdout.")
def command(
    bundle: Path, stage: str | None, tolerance: float | None, output: Path, weights: str | None, as_json: bool
) -> None:
    """Find the first tensor that breaks a BUNDLE's tolerance, and the smallest part of the program that does it.

    The float program is exported again from the bundle's recipe (an adopted bundle carries it), and both run on the
    bundle's recorded inputs. Up to a cut the bundle's program runs and from there on the float one: the first cut at
    which the stage misses its tolerance names the tensor. The part that leads to it is written as a folder with its
    inputs, what should come out, and a run.py that needs numpy and onnxruntime alone.

    Looks at the stages of the first rung that the last validation failed, at all of them otherwise. Exit code 0 when
    every stage keeps its tolerance, 5 when one does not.

    \b
    Examples:
      t3export bisect artifacts/shape_e_int8/cpu
      t3export bisect artifacts/shape_e_int8/cpu --stage denoiser --tolerance 35 -o reproducer
    """
    quiet_libraries()
    from validate.bisect.pair import Originals
    from validate.bisect.reproducer import write_reproducer
    from validate.bisect.verdicts import failing_rung, search, stages_to_search

    with Bar(quiet=as_json) as bar:
        task = bar.add_task("opening", total=None)
        originals = Originals.open(bundle, Cache(), Silent(), weights)
        stages = stages_to_search(originals.manifest, failing_rung(bundle), stage)
        findings = search(originals, stages, tolerance, lambda told: bar.update(task, description=told))
    last = findings[-1]
    if last.culprit:
        write_reproducer(last.culprit, output)
    if as_json:
        print_json(_as_data(findings, output))
    else:
        _print(findings)
    if last.kept:
        return
    if last.culprit and not as_json:
        print_note(f"reproducer: python {output / 'run.py'}")
    if as_json:
        raise click.exceptions.Exit(ValidationFailed.exit_code)
    raise ValidationFailed(last.summary)


def _print(findings: list[BisectFinding]) -> None:
    console = results()
    for finding in findings:
        console.print(f"{'[green]kept[/]' if finding.kept else '[bold red]missed[/]'}  {escape(finding.summary)}")
    culprit = findings[-1].culprit
    if culprit is None:
        if findings[-1].kept:
            console.print("Nothing to find: every stage keeps its tolerance on the recorded inputs.")
        return
    facts = table("first broken", escape(culprit.tensor))
    facts.add_row("SNR there", f"{culprit.total_db:.1f} dB, {culprit.alone_db:.1f} dB from exact inputs")
    facts.add_row("smallest part", f"{len(culprit.nodes)} nodes from {escape(', '.join(culprit.inputs))}")
    for name in culprit.nodes[:NODES_SHOWN]:
        facts.add_row("", escape(name))
    console.print(facts)
    if culprit.alone_db >= culprit.limit_db:
        console.print(
            "From exact inputs this part keeps the tolerance by itself: small errors before it add up, or what comes "
            "after it magnifies them."
        )


def _as_data(findings: list[BisectFinding], output: Path) -> dict[str, Any]:
    culprit = findings[-1].culprit
    return {
        "kept": all(finding.kept for finding in findings),
        "stages": [
            {name: getattr(one, name) for name in ("stage", "golden", "worst_db", "limit_db", "float_db", "kept")}
            for one in findings
        ],
        "culprit": _culprit_data(culprit, output) if culprit else None,
    }


def _culprit_data(culprit: Culprit, output: Path) -> dict[str, Any]:
    names = ("stage", "tensor", "nodes", "alone_db", "total_db", "outputs_db", "limit_db")
    found = {name: getattr(culprit, name) for name in names}
    return found | {"inputs": list(culprit.inputs), "reproducer": str(output)}
