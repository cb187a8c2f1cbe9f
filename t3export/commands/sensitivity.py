"""`t3export sensitivity`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.measure import Measurement

from exporter.files.cache import Cache
from exporter.targets.target import load_target, require_measurable
from t3export.options import checked_recipe, recipe_options
from t3export.output import megabytes, print_json, print_note, results, table
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines

if TYPE_CHECKING:
    from exporter.search.losses import Loss, Sensitivity

ARTIFACTS = Path("artifacts")


@click.command()
@recipe_options
@click.option("--target", "target_name", default="cpu", show_default=True, help="A target's name, or your own file.")
@click.option(
    "--candidates",
    metavar="A,B",
    default="",
    help="Precisions to try, such as int8,int4_weights:64:gptq,palette:4.  [default: all of the target]",
)
@click.option("--prompts", type=click.IntRange(1), default=4, show_default=True, help="Recorded prompts to measure on.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The JSON; the picture lies beside it.  [default: artifacts/<recipe>/sensitivity_<target>.json]",
)
@click.option("--no-cache", is_flag=True, help="Measure everything again and keep nothing for later.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON document on stdout too.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    weights: str | None,
    target_name: str,
    candidates: str,
    prompts: int,
    output: Path | None,
    no_cache: bool,
    as_json: bool,
) -> None:
    """What each layer of a RECIPE's model loses and saves in each precision, alone.

    Noise is measured on a sampler's guided prediction at the recipe's guidance scale, in three groups of noise levels,
    and for stages after it on their own outputs; milliseconds are measured on this machine, one layer's product at a
    time. An interrupted run goes on where it was.

    \b
    Examples:
      t3export sensitivity recipes/shape_e_int8.yaml
      t3export sensitivity recipes/shape_e_int8.yaml --candidates int8,int8_dynamic,int4_weights:gptq
      t3export sensitivity recipes/shape_e_fp32.yaml --weights openai/shap-e -o shap_e.json --json
    """
    checked, target = checked_recipe(recipe, overrides, weights), load_target(target_name)
    require_measurable(target)
    from exporter.search.candidates import choose_candidates

    rules = choose_candidates(target, names_in(candidates))
    # Measuring imports torch: only now, when the input is known to be good.
    quiet_libraries()
    from exporter.search.sensitivity import measure
    from exporter.search.workbench import Workbench
    from t3export.heatmap import draw_heatmap

    path = output or ARTIFACTS / checked.name / f"sensitivity_{target.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with StepLines() as progress, Cache.none(path.parent) if no_cache else nullcontext(Cache()) as cache:
        found = measure(Workbench(checked, target, cache, progress, prompts=prompts), rules)
    path.write_text(json.dumps(found.to_dict(), indent=1, allow_nan=False), encoding="utf-8")
    picture = path.with_suffix(".png")
    draw_heatmap(found.losses).save(picture)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    print_note(f"written: {path} and {picture}")


def names_in(text: str) -> list[str]:
    """The entries of a comma-separated option."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _print(found: Sensitivity) -> None:
    candidates = list(dict.fromkeys(loss.candidate for loss in found.losses))
    losses = {(loss.layer, loss.candidate): loss for loss in found.losses}
    layers = table("layer (SNR in dB)", *candidates)
    for layer in dict.fromkeys(loss.layer for loss in found.losses):
        cells = [_decibels(losses.get((layer, candidate))) for candidate in candidates]
        layers.add_row(escape(layer), *cells)
    console = results()
    # A name that is folded into pieces cannot be copied into a policy.
    console.width = max(console.width, Measurement.get(console, console.options.update(max_width=1000), layers).maximum)
    console.print(layers)
    stages = list(dict.fromkeys(loss.measured_in for loss in found.losses))
    totals = table("all layers in", *(f"{stage} SNR, if noise adds up" for stage in stages), "saved", "saved an object")
    for candidate in candidates:
        totals.add_row(*_total(candidate, stages, [loss for loss in found.losses if loss.candidate == candidate]))
    results().print(totals)
    stored = sum(found.stored_bytes.values())
    results().print(
        f"fp32: {megabytes(stored)}, {found.milliseconds:.1f} ms an object in products of weights, on "
        f"{escape(str(found.machine['processor']))}; {found.prompts} prompts"
    )


def _total(candidate: str, stages: list[str], losses: list[Loss]) -> list[str]:
    from exporter.search.error_metric import decibels

    noise = dict.fromkeys(stages, 0.0)
    for loss in losses:
        noise[loss.measured_in] += loss.total
    saved = sum(loss.bytes_saved for loss in losses), sum(loss.milliseconds_saved for loss in losses)
    levels = [f"{decibels(value):.1f} dB" if value else "–" for value in noise.values()]
    return [candidate, *levels, megabytes(saved[0]), f"{saved[1]:.1f} ms"]


def _decibels(loss: Loss | None) -> str:
    return f"{loss.snr_db:.1f}" if loss else "–"
