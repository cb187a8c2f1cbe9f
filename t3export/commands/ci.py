"""`t3export ci`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.errors import RecipeError
from exporter.machine.processor import usable_processors
from exporter.recipe.shipped import recipe_path
from exporter.targets.accept import fitted
from exporter.targets.target import load_target, require_complete
from t3export.options import checked_recipe, engine_options
from t3export.output import print_json, print_note, results, table
from t3export.progress import Bar
from t3export.prompts import judged_choice
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines

if TYPE_CHECKING:
    from validate.ci.baseline import Baseline
    from validate.ci.check import Checked
    from validate.ci.measure_pair import How, RecipeOnTarget
    from validate.ci.measurement import Measurement
    from validate.ci.regressions import Regression

HELD, REGRESSED, NOT_RUN = 0, 1, 2
STYLES = {"held": "green", "regressed": "bold red", "not run": "yellow"}
DEFAULT_BASELINE = Path("artifacts/baseline.json")


@click.command()
@click.argument(
    "recipes",
    type=click.Path(path_type=Path),
    nargs=-1,
    required=True,
    callback=lambda *given: tuple(map(recipe_path, given[-1])),
)
@click.option("--targets", metavar="A,B", default="cpu", show_default=True, help="Targets by name, comma-separated.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_BASELINE,
    show_default=True,
    help="What held before, and the tolerances.",
)
@click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a field of every recipe.")
@click.option("--prompts", metavar="N|FILE", help="How many shipped prompts, or a file of your own.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Objects of each prompt, instead of the recipe's.")
@click.option("--evaluator", type=click.Path(path_type=Path), help="A CLIP folder in the hub's layout that judges.")
@engine_options
@click.option("--reuse", is_flag=True, help="Take the bundles that are in the artifacts folder, when they are whole.")
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("artifacts"),
    show_default=True,
    help="Where the bundles are.",
)
@click.option("--update-baseline", "reason", metavar="REASON", help="Write what is measured now as the new baseline.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML here.")
@click.option("--summary", type=click.Path(path_type=Path, dir_okay=False), help="Append a Markdown summary here.")
@click.option("--json", "as_json", is_flag=True, help="The findings as one JSON document on stdout.")
def command(
    recipes: tuple[Path, ...],
    targets: str,
    baseline: Path,
    overrides: tuple[str, ...],
    prompts: str | None,
    seeds: int | None,
    evaluator: Path | None,
    engine: str,
    worker_memory: str | None,
    reuse: bool,
    artifacts: Path,
    reason: str | None,
    junit: Path | None,
    summary: Path | None,
    as_json: bool,
) -> None:
    """Hold every recipe on every target to a baseline: parity, quality, size and speed.

    Builds each bundle (steps that were done before come from the cache), climbs the ladder, and compares: quality by
    the paired test on the same prompts and seeds, parity and size by tolerance, speed as a ratio to PyTorch timed in
    turns. Under GitHub Actions, what did not hold is annotated at the recipe's file.

    Exit codes: 0 everything held, 1 something regressed, 2 something could not be run.

    \b
    Examples:
      t3export ci recipes/*.yaml --targets cpu,web
      t3export ci recipes/shape_e_int8.yaml --update-baseline "first baseline"
      t3export ci recipes/*.yaml --junit parity.xml --summary "$GITHUB_STEP_SUMMARY"
      t3export ci recipes/shape_e_int8.yaml --reuse --prompts 320 --json
    """
    quiet_libraries()
    from validate.ci.baseline import Baseline
    from validate.ci.measure_pair import How
    from validate.ci.outputs import junit_xml, markdown, workflow_commands
    from validate.prove import Options

    if reason is not None and not reason.strip():
        raise RecipeError("--update-baseline: give the reason why this is the new baseline, in a few words")
    if baseline != DEFAULT_BASELINE and reason is None and not baseline.exists():
        raise RecipeError(f'--baseline {baseline}: no such file; --update-baseline "REASON" writes it')
    known = Baseline.read(baseline)
    pairs = _pairs(recipes, targets, overrides, artifacts)
    workers = usable_processors() // 2
    options = Options(
        prompts=judged_choice(prompts), seeds=seeds, evaluator=evaluator, workers=workers, objects=0, layers=False
    )
    checked = list(_checked([pair for _, pair in pairs], known, How(options, reuse), engine, worker_memory))
    findings = [finding for one in checked for finding in one.findings]
    if as_json:
        print_json({"exit_code": _exit_code(findings), "findings": [vars(finding) for finding in findings]})
    else:
        _print(findings)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            print("\n".join(workflow_commands(findings, {pair.name: path for path, pair in pairs})))
    if junit:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_bytes(junit_xml(findings))
    if summary:
        summary.parent.mkdir(parents=True, exist_ok=True)
        with summary.open("a", encoding="utf-8") as stream:
            stream.write(markdown(findings))
    if reason:
        found = {pair.name: one.measurement for (_, pair), one in zip(pairs, checked, strict=True)}
        _update(known, baseline, reason, found)
        return
    if code := _exit_code(findings):
        raise click.exceptions.Exit(code)


def _pairs(
    recipes: tuple[Path, ...], targets: str, overrides: tuple[str, ...], artifacts: Path
) -> list[tuple[Path, RecipeOnTarget]]:
    """Every recipe with every target, all of them known and complete."""
    from validate.ci.measure_pair import RecipeOnTarget

    chosen = [load_target(name.strip()) for name in targets.split(",") if name.strip()]
    if not chosen:
        raise RecipeError("--targets: name at least one target, as in --targets cpu,web")
    for target in chosen:
        require_complete(target)
    checked = [(path, checked_recipe(path, overrides, None)) for path in recipes]
    return [
        (path, RecipeOnTarget(fitted(recipe, target)[0], target, artifacts / recipe.name / target.name))
        for path, recipe in checked
        for target in chosen
    ]


def _checked(
    pairs: list[RecipeOnTarget], baseline: Baseline, how: How, engine: str, worker_memory: str | None
) -> Iterator[Checked]:
    """Each pair checked against the baseline, wherever the engine does it."""
    from validate.ci.check import CheckTask, check, run_check
    from validate.objects.open_engine import LOCAL, open_engine

    if engine == LOCAL:
        with StepLines() as progress:
            for pair in pairs:
                yield check(pair, baseline, how, progress)
        return
    # A worker is a process of its own: it rasterises by itself.
    alone = replace(how, options=replace(how.options, workers=0))
    with open_engine(engine, worker_memory) as opened, Bar() as bar:
        task = bar.add_task("pairs", total=len(pairs))
        for checked in opened.map(run_check, [CheckTask(pair, baseline, alone) for pair in pairs]):
            yield checked
            bar.advance(task)


def _update(known: Baseline, path: Path, reason: str, measured: dict[str, Measurement | None]) -> None:
    """Write the new baseline; what misses the ladder by itself is never one."""
    kept = {pair: found for pair, found in measured.items() if found and not found.failed}
    known.updated(kept, reason).write(path)
    print_note(f"{path}: the new baseline of {', '.join(kept) or 'nothing'}")
    if left := sorted(measured.keys() - kept.keys()):
        print_note(f"no new baseline of {', '.join(left)}: see above")
        raise click.exceptions.Exit(REGRESSED)


def _exit_code(findings: list[Regression]) -> int:
    states = {finding.status for finding in findings}
    return REGRESSED if "regressed" in states else NOT_RUN if "not run" in states else HELD


def _print(findings: list[Regression]) -> None:
    from rich.text import Text

    shown = table("recipe/target", "check", "verdict", "found")
    for one in findings:
        shown.add_row(one.pair, one.check, Text(one.status, style=STYLES[one.status]), Text(one.text))
    results().print(shown)
