"""`t3export build`."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from exporter.files.cache import Cache
from exporter.files.in_place import workplace
from exporter.files.swap import recover
from exporter.machine.meter import metered
from exporter.machine.processor import this_processor, usable_processors
from exporter.manifest import require_replaceable
from exporter.targets.accept import fitted, require_accepted
from exporter.targets.auto import AutoChoice, choose
from exporter.targets.target import AUTO, load_target, require_complete
from t3export.kits import to_do
from t3export.options import checked_recipe, placed_rules, recipe_options
from t3export.output import megabytes, print_json, print_note, results, table
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines

if TYPE_CHECKING:
    from exporter.build.build import BuildReport
    from exporter.build.gain import Gain

ARTIFACTS = Path("artifacts")


@click.command()
@recipe_options
@click.option(
    "--target",
    "target_name",
    default="cpu",
    show_default=True,
    help="A target's name, your own file, or auto: the fastest on this machine that the recipe allows.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="[default: artifacts/<recipe>/<target>]"
)
@click.option(
    "--prove",
    metavar="N",
    type=click.IntRange(min=1),
    help="Validate on N prompts, R-Precision included, before the bundle is put in place.",
)
@click.option(
    "--allow",
    type=click.Choice(["no-gain", "worse"]),
    multiple=True,
    help="Put the bundle in place although quantizing did not help (no-gain), or what --prove finds is not good enough "
    "(worse). May be repeated.",
)
@click.option("--no-cache", is_flag=True, help="Run every step again and keep nothing for later.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON document on stdout.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    weights: str | None,
    target_name: str,
    output: Path | None,
    prove: int | None,
    allow: tuple[str, ...],
    no_cache: bool,
    as_json: bool,
) -> None:
    """Turn a RECIPE into a bundle for a target, every program checked against goldens of the PyTorch reference.

    A bundle that is there already is replaced at the very end, when the new one is whole. Steps that were done before
    come from the cache. A quantized stage that is slower than its float self (or no smaller, where that is what the
    recipe is for) fails the build; so does a miss of --prove.

    \b
    Examples:
      t3export build recipes/shape_e_int8.yaml --target cpu
      t3export build recipes/shape_e_int8.yaml --target auto
      t3export build recipes/shape_e_int8.yaml --target orin
      t3export build recipes/shape_e_int8.yaml --prove 160
      t3export build recipes/shape_e_fp32.yaml --weights openai/shap-e
      t3export build recipes/shape_e_fp32.yaml --weights random:shap-e-300m -o /tmp/big
      t3export build recipes/shape_e_int8.yaml --set sampler.steps=16 --set mesh.grid=64 --json
    """
    checked = checked_recipe(recipe, overrides, weights)
    chosen = choose(checked, this_processor()) if target_name == AUTO else None
    target = chosen.target if chosen else load_target(target_name)
    require_complete(target)
    require_accepted(fitted(checked, target)[0], target)
    if chosen:
        print_note(_told(chosen))
    folder = output or ARTIFACTS / checked.name / target.name
    recover(folder)
    require_replaceable(folder)
    # The build imports torch: only now, when the input is known to be good.
    quiet_libraries()
    from exporter.build.build import build

    kept = Cache.none(workplace(folder)) if no_cache else nullcontext(Cache())
    with placed_rules(checked, recipe, overrides), StepLines() as progress, kept as cache:
        report = build(
            checked,
            target,
            folder,
            cache=cache,
            progress=progress,
            need_gain="no-gain" not in allow,
            prove=partial(_prove, prompts=prove, progress=progress, allow_worse="worse" in allow) if prove else None,
        )
    if as_json:
        print_json(_data(report) | ({"auto": _choice(chosen)} if chosen else {}))
    else:
        _print(report)
    for warning in report.warnings:
        print_note(warning)
    if not report.manifest.weights.trained:
        print_note("random weights: this bundle is good for shapes, speed and parity, never for a word about quality")


def _told(chosen: AutoChoice) -> str:
    """What was chosen and why, and why not what comes before it."""
    lines = [f"--target auto is {chosen.target.name}: {chosen.because}"]
    return "\n".join([*lines, *(f"  not {name}: {reason}" for name, reason in chosen.passed_over.items())])


def _choice(chosen: AutoChoice) -> dict[str, Any]:
    return {"target": chosen.target.name, "because": chosen.because, "passed_over": chosen.passed_over}


def _prove(folder: Path, prompts: int, progress: StepLines, allow_worse: bool) -> None:
    """Climb the ladder with a bundle that is not in place yet, and keep the verdict in it."""
    from validate.ladder.report import record_in_bundle
    from validate.prove import Options, validate_bundle

    with metered("prove", progress, []):
        options = Options(prompts=prompts, workers=usable_processors() // 2)
        proof = validate_bundle(folder, options, progress=progress.advanced)
    record_in_bundle(proof, folder)
    if not allow_worse:
        proof.require_passed()


def _print(report: BuildReport) -> None:
    programs = table("program", "precision", "size", "worst parity", "wanted", "of its fp32 bytes", "times as fast")
    gains = {gain.stage: gain for gain in report.gains}
    for name, stage in report.manifest.stages.items():
        worst = _worst(report, name)
        parity = [f"{worst.parity.snr_db:.1f} dB", f"{worst.limit_db:.1f} dB"] if worst else ["–", "–"]
        programs.add_row(name, stage.precision, megabytes(stage.size), *parity, *_shares(gains.get(name)))
    results().print(programs)
    for name, rewrites in report.rewrites.items():
        if rewrites:
            results().print(f"{name}: {'; '.join(map(str, rewrites))}", soft_wrap=True)
    seconds, peak = sum(step.seconds for step in report.steps), max(step.peak_bytes for step in report.steps)
    results().print(f"{seconds:.1f} s, peak memory {peak / 1e9:.2f} GB, digest {report.digest[:16]}")
    results().print(f"[green]bundle[/] {escape(str(report.out))}")
    engines = report.manifest.engines
    if engines and engines.state != "built":
        results().print("\n".join(["", *to_do(report.out, report.manifest)]), markup=False, soft_wrap=True)


def _data(report: BuildReport) -> dict[str, Any]:
    return {
        "bundle": str(report.out),
        "digest": report.digest,
        "engines": report.manifest.engines.model_dump() if report.manifest.engines else None,
        "warnings": report.warnings,
        "rewrites": {
            name: [{"by": one.by, **one.rewritten._asdict()} for one in rewrites]
            for name, rewrites in report.rewrites.items()
        },
        "gains": [vars(gain) for gain in report.gains],
        "trained": report.manifest.weights.trained,
        "steps": [vars(step) for step in report.steps],
        "goldens": [
            {"stage": p.stage, "tensor": p.tensor, "golden": p.golden, "precision": p.precision}
            | {"limit_db": p.limit_db, "passed": p.passed, **vars(p.parity)}
            for p in report.parities
        ],
    }


def _shares(gain: Gain | None) -> tuple[str, str]:
    """Bytes and time against the float program."""
    if gain is None:
        return "–", "–"
    return f"{gain.bytes_share:.0%}", "not run here" if gain.times_as_fast is None else f"x{gain.times_as_fast:.2f}"


def _worst(report: BuildReport, stage: str) -> Any:
    return min(
        (p for p in report.parities if p.stage == stage), key=lambda p: p.parity.snr_db - p.limit_db, default=None
    )
