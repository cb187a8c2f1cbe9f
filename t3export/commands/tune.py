"""`t3export tune`."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from exporter.cache import Cache
from exporter.errors import ValidationFailed
from exporter.target import load_target, require_measurable
from t3export.commands.sensitivity import names_in
from t3export.options import checked_recipe, recipe_options
from t3export.output import megabytes, notes, print_json, print_note, results, table
from t3export.prompts import prompt_choice
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines

if TYPE_CHECKING:
    from exporter.quantize.search import Choice
    from validate.tune import Attempt, Tuning


@click.command()
@recipe_options
@click.option("--target", "target_name", default="cpu", show_default=True, help="A target's name, or your own file.")
@click.option(
    "--objective", type=click.Choice(["latency", "size"]), default="latency", show_default=True, help="What to save."
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="By how much R-Precision may fall below the reference's.  [default: 0.5]",
)
@click.option(
    "--min-snr",
    type=float,
    metavar="DB",
    help="Least SNR of the guided output and of the projector's outputs, instead of --max-drop.",
)
@click.option(
    "--candidates",
    metavar="A,B",
    default="",
    help="Precisions to choose from, such as int8,int4_weights:64:gptq,palette:4.  [default: all of the target that "
    "the recipe has tolerances for]",
)
@click.option("--prompts", metavar="N|FILE", help="How many shipped prompts, or a .txt or .json file of your own.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Objects of each prompt, instead of the recipe's.")
@click.option("--evaluator", type=click.Path(path_type=Path), help="A CLIP folder in the hub's layout that judges.")
@click.option("--workers", type=click.IntRange(0, 64), help="Processes that rasterise meshes.  [default: 1 of 2 cores]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("policy.yaml"),
    show_default=True,
    help="The policy.",
)
@click.option("--no-cache", is_flag=True, help="Measure everything again and keep nothing for later.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON document on stdout.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    weights: str | None,
    target_name: str,
    objective: str,
    max_drop: float | None,
    min_snr: float | None,
    candidates: str,
    prompts: str | None,
    seeds: int | None,
    evaluator: Path | None,
    workers: int | None,
    output: Path,
    no_cache: bool,
    as_json: bool,
) -> None:
    """Find the policy of a RECIPE that saves most and is still good enough. Exit code 5 when none is.

    Searches what `t3export sensitivity` measures. The policy is then tried as a whole: its bundle is built, and its
    objects are compared with the reference's on the same prompts and seeds. Where it falls short the search is
    repeated 3 dB tighter, six times at most. The recipe's own rules are left alone: name the policy in it as
    quantization.policy.

    \b
    Examples:
      t3export tune recipes/shape_e_int8.yaml -o recipes/policies/shape_e_int8.yaml
      t3export tune recipes/shape_e_int8.yaml --objective size --max-drop 1 --prompts 300 --seeds 2
      t3export tune recipes/shape_e_int8.yaml --weights random:shap-e-mini --min-snr 25 --json
    """
    if max_drop is not None and min_snr is not None:
        raise click.UsageError("--max-drop and --min-snr exclude each other")
    checked, target = checked_recipe(recipe, overrides, weights), load_target(target_name)
    require_measurable(target)
    # Tuning imports torch: only now, when the input is known to be good.
    quiet_libraries()
    from validate.bundles import Options
    from validate.tune import Goal, tune

    goal = Goal(objective, 0.5 if max_drop is None and min_snr is None else max_drop, min_snr)
    options = Options(
        prompts=prompt_choice(prompts),
        seeds=seeds,
        evaluator=evaluator,
        workers=(os.cpu_count() or 1) // 2 if workers is None else workers,
        cache=not no_cache,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with StepLines() as progress, Cache.none(output.parent) if no_cache else nullcontext(Cache()) as cache:
        tuning = tune(checked, target, goal, names_in(candidates), options, cache, progress, _print_attempt)
    if tuning.passed:
        output.write_text(tuning.require_policy().to_yaml(), encoding="utf-8")
    if as_json:
        print_json(tuning.to_dict())
    else:
        _print(tuning)
    if as_json and not tuning.passed:
        raise click.exceptions.Exit(ValidationFailed.exit_code)
    tuning.require_policy()
    print_note(f"policy: {output}")


def _print_attempt(attempt: Attempt) -> None:
    verdict = "[green]good enough[/]" if attempt.verdict.passed else "[yellow]not good enough[/]"
    told = _levels(attempt.choice.snr_db), _levels(attempt.measured_db)
    notes().print(f"budget {attempt.budget_db:g} dB: foretold {told[0]}, measured {told[1]}; {verdict}")
    notes().print(f"  {escape(attempt.verdict.summary)}")


def _print(tuning: Tuning) -> None:
    front = table("budget", "foretold", "saved", "saved an object", "layers changed", "")
    tried = {attempt.budget_db: attempt for attempt in tuning.attempts}
    points = {_budget(choice): choice for choice in tuning.front}
    points |= {budget: attempt.choice for budget, attempt in tried.items()}
    for budget, choice in sorted(points.items()):
        front.add_row(*_point(budget, choice), _verdict(tried.get(budget)))
    results().print(front)
    stored, time = sum(tuning.sensitivity.stored_bytes.values()), tuning.sensitivity.milliseconds
    results().print(f"of {megabytes(stored)} and {time:.1f} ms an object in products of weights")


def _point(budget: float, choice: Choice) -> list[str]:
    saved = megabytes(choice.bytes_saved), f"{choice.milliseconds_saved:.1f} ms"
    return [f"{budget:g} dB", _levels(choice.snr_db), *saved, str(len(choice.chosen))]


def _verdict(attempt: Attempt | None) -> str:
    if attempt is None:
        return ""
    return "[green]taken[/]" if attempt.verdict.passed else "[yellow]not good enough[/]"


def _budget(choice: Choice) -> float:
    from exporter.quantize.noise import decibels

    return round(decibels(choice.budget), 6)


def _levels(snr_db: dict) -> str:
    return ", ".join(f"{name} {level:.1f} dB" for name, level in snr_db.items()) or "–"
