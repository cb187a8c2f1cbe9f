"""`t3export build`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from exporter.bundle import require_replaceable
from exporter.cache import Cache
from exporter.target import load_target, require_complete
from t3export.options import checked_recipe, recipe_options
from t3export.output import megabytes, print_json, print_note, results, table
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines

if TYPE_CHECKING:
    from exporter.build import BuildReport

ARTIFACTS = Path("artifacts")


@click.command()
@recipe_options
@click.option("--target", "target_name", default="cpu", show_default=True, help="A target's name, or your own file.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="[default: artifacts/<recipe>/<target>]"
)
@click.option("--no-cache", is_flag=True, help="Run every step again and keep nothing for later.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON document on stdout.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    weights: str | None,
    target_name: str,
    output: Path | None,
    no_cache: bool,
    as_json: bool,
) -> None:
    """Turn a RECIPE into a bundle for a target, every program held to goldens of the PyTorch reference.

    A bundle that is there already is replaced at the very end, when the new one is whole. Steps that were done before
    come from the cache.

    \b
    Examples:
      t3export build recipes/shape_e_int8.yaml --target cpu
      t3export build recipes/shape_e_fp32.yaml --weights openai/shap-e
      t3export build recipes/shape_e_fp32.yaml --weights random:shap-e-300m -o /tmp/big
      t3export build recipes/shape_e_int8.yaml --set sampler.steps=16 --set mesh.grid=64 --json
    """
    checked, target = checked_recipe(recipe, overrides, weights), load_target(target_name)
    require_complete(target)
    folder = output or ARTIFACTS / checked.name / target.name
    require_replaceable(folder)
    # The build imports torch: only now, when the input is known to be good.
    quiet_libraries()
    from exporter.build import build

    with StepLines() as progress, Cache.none(folder.parent) if no_cache else nullcontext(Cache()) as cache:
        report = build(checked, target, folder, cache=cache, progress=progress)
    if as_json:
        print_json(_data(report))
    else:
        _print(report)
    for warning in report.warnings:
        print_note(warning)
    if not report.manifest.weights.trained:
        print_note("random weights: this bundle is good for shapes, speed and parity, never for a word about quality")


def _print(report: BuildReport) -> None:
    programs = table("program", "precision", "size", "worst parity", "wanted")
    for name, stage in report.manifest.stages.items():
        worst = _worst(report, name)
        parity = [f"{worst.parity.snr_db:.1f} dB", f"{worst.limit_db:.1f} dB"] if worst else ["–", "–"]
        programs.add_row(name, stage.precision, megabytes(stage.size), *parity)
    results().print(programs)
    seconds, peak = sum(step.seconds for step in report.steps), max(step.peak_bytes for step in report.steps)
    results().print(f"{seconds:.1f} s, peak memory {peak / 1e9:.2f} GB, digest {report.digest[:16]}")
    results().print(f"[green]bundle[/] {escape(str(report.out))}")


def _data(report: BuildReport) -> dict[str, Any]:
    return {
        "bundle": str(report.out),
        "digest": report.digest,
        "warnings": report.warnings,
        "trained": report.manifest.weights.trained,
        "steps": [vars(step) for step in report.steps],
        "goldens": [
            {"stage": p.stage, "tensor": p.tensor, "golden": p.golden, "precision": p.precision}
            | {"limit_db": p.limit_db, "passed": p.passed, **vars(p.parity)}
            for p in report.parities
        ],
    }


def _worst(report: BuildReport, stage: str) -> Any:
    return min(
        (p for p in report.parities if p.stage == stage), key=lambda p: p.parity.snr_db - p.limit_db, default=None
    )
