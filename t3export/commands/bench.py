"""`t3export bench`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.errors import EnvironmentProblem, RecipeError, did_you_mean
from exporter.files.atomic import write_atomically
from exporter.machine.processor import usable_processors
from exporter.manifest import MANIFEST, read_manifest
from t3export.options import memory_limit_option, stand_in_option
from t3export.output import print_json, print_note, results
from t3export.quiet import quiet_libraries
from t3export.steps import StepLines

if TYPE_CHECKING:
    from exporter.machine.meter import Progress
    from validate.bench.grids import Told
    from validate.bench.measure import BenchSettings

BASELINES = ("torch", "torch-bf16", "torch-compile", "naive")
# What has to be asked for: another runtime's own way.
MORE_BASELINES = ("openvino",)
# Of a bundle that was adopted, which has no PyTorch model.
ADOPTED_BASELINES = ("float",)
SWEEPS = ("prompts", "steps", "grid", "weights")


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@click.option("--compare", is_flag=True, help="Bundles against one another: no baselines but those of --baseline.")
@click.option(
    "--baseline",
    metavar="A,B",
    help=f"Forms of the PyTorch reference: {', '.join((*BASELINES, *MORE_BASELINES))}, or none.  [default: "
    f"{', '.join(BASELINES)}, where they are installed]",
)
@click.option(
    "--original",
    "sampler",
    metavar="SCHEDULER:STEPS",
    help="The baselines' sampler.  [default: heun:64, of a flow flow_euler:50]",
)
@click.option(
    "--limit",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="A baseline whose sampling would take longer is composed: evaluations times one measured evaluation.",
)
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Turns of every side.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="Threads of each runtime.  [default: all]")
@click.option(
    "--prompt",
    default="a red chair",
    show_default=True,
    help="What is made, a text or the path of a picture; in place of the default the first picture of a bundle.",
)
@click.option("--grid", type=click.IntRange(8, 512), help="Samples of the field per edge, instead of the recipe's.")
@click.option(
    "--size",
    type=click.IntRange(0, 2048),
    help="Pixels of the picture, instead of the recipe's; 0: none beside a mesh.",
)
@click.option(
    "--no-fresh", is_flag=True, help="Leave out load time and peak memory, which need processes of their own."
)
@click.option("--roofline", is_flag=True, help="What this machine can do at most, and how far each stage is from it.")
@click.option("--sweep", type=click.Choice(SWEEPS), help="Time and memory against one size, with the fitted exponent.")
@click.option("--points", metavar="A,B", help="The sizes of --sweep, instead of its own.")
@memory_limit_option
@stand_in_option
@click.option("--chart", type=click.Path(path_type=Path), help="A .png of where the time of each side goes.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The tables as Markdown on stdout.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    bundles: tuple[Path, ...],
    compare: bool,
    baseline: str | None,
    sampler: str | None,
    limit: float,
    rounds: int,
    threads: int,
    prompt: str,
    grid: int | None,
    size: int | None,
    no_fresh: bool,
    roofline: bool,
    sweep: str | None,
    points: str | None,
    memory_limit: int | None,
    stand_in: str | None,
    chart: Path | None,
    as_markdown: bool,
    as_json: bool,
) -> None:
    """How long BUNDLEs take, stage by stage, how much memory, and how much faster that is than PyTorch.

    All sides are run in turns in one process, then each alone in fresh ones for load time and peak memory. A bundle's
    own sampling is always run in full. Baselines are of each model among the bundles: PyTorch eager in float32 (with
    its own way to a mesh), with its network in bfloat16, by torch.compile, by a plain torch.onnx.export on ONNX Runtime
    and by OpenVINO's own converter; of an adopted bundle its float programs.

    \b
    Examples:
      t3export bench artifacts/shape_e_int8/cpu
      t3export bench artifacts/shape_e_int8/cpu --baseline torch --rounds 9 --chart breakdown.png
      t3export bench --compare artifacts/shape_e_fp32/cpu artifacts/shape_e_int8/cpu --markdown
      t3export bench artifacts/shape_e_int8/cpu artifacts/shape_e_image_int8/cpu --baseline torch      (two models)
      t3export bench artifacts/shape_e_int8/cpu --roofline
      t3export bench artifacts/shape_e_int8/cpu --sweep prompts
      t3export bench artifacts/shape_e_int8/cpu --sweep weights --points shap-e-1m,shap-e-5m --json
    """
    _check(bundles, baseline, roofline, sweep, points, chart)
    original = _sampler(sampler) if sampler else None
    adopted = (bundles[0] / MANIFEST).is_file() and read_manifest(bundles[0]).is_adopted
    chosen = () if roofline or sweep else _baselines(baseline, compare, adopted)
    quiet_libraries()
    from validate.bench.measure import BenchSettings

    settings = BenchSettings(
        baselines=chosen,
        threads=threads or usable_processors(),
        rounds=rounds,
        prompt=prompt,
        grid=grid,
        picture=size,
        original=original,
        limit_seconds=limit,
        fresh=not no_fresh,
        stand_in=stand_in,
        memory_limit_mb=memory_limit,
    )
    with StepLines() as progress:
        told = _measure(bundles, settings, progress, roofline, sweep, points, chart)
    if as_json:
        print_json(told.data)
    elif as_markdown:
        click.echo(told.markdown(), nl=False)
    else:
        results().print(told.for_console())
    if chart:
        print_note(f"chart: {chart}")


def _measure(
    bundles: tuple[Path, ...],
    settings: BenchSettings,
    progress: Progress,
    roofline: bool,
    sweep: str | None,
    points: str | None,
    chart: Path | None,
) -> Told:
    if sweep:
        from validate.bench.sweep import run_sweep, tell_sweep

        given = [point.strip() for point in points.split(",")] if points else []
        return tell_sweep(run_sweep(sweep, bundles[0], given, settings, progress))
    if roofline:
        from validate.bench.roofline import measure_roofline, tell_roofline

        return tell_roofline(measure_roofline(bundles[0], settings, progress))
    from validate.bench.measure import measure
    from validate.bench.show_timings import tell

    result = measure(bundles, settings, progress)
    if chart:
        from exporter.runtime.assets.pictures import to_png
        from t3export.breakdown import draw_breakdown

        write_atomically(chart, to_png(draw_breakdown(result)))
    return tell(result)


def _check(
    bundles: tuple[Path, ...],
    baseline: str | None,
    roofline: bool,
    sweep: str | None,
    points: str | None,
    chart: Path | None,
) -> None:
    """Raises UsageError or RecipeError for what does not go together."""
    if roofline and sweep:
        raise click.UsageError("--roofline and --sweep are two measurements: ask for one at a time")
    if (roofline or sweep) and len(bundles) > 1:
        raise click.UsageError(f"{'--roofline' if roofline else '--sweep'} takes one bundle, {len(bundles)} were given")
    if baseline not in (None, "none") and (roofline or sweep):
        raise click.UsageError("--roofline and --sweep measure the bundle alone: leave out --baseline")
    if len(set(bundles)) < len(bundles):
        raise click.UsageError("a bundle was given twice")
    if points and not sweep:
        raise click.UsageError("--points are the sizes of a --sweep: say which")
    if chart and (roofline or sweep):
        raise click.UsageError("--chart draws the stages of sides, which --roofline and --sweep do not have")
    if chart and chart.suffix.lower() != ".png":
        raise RecipeError(f"{chart}: this is written as a .png file; {did_you_mean(chart.suffix, ['.png'])}")


def _sampler(text: str) -> tuple[str, int]:
    """The scheduler and the steps of --original."""
    scheduler, _, steps = text.partition(":")
    if not steps.isdecimal() or not int(steps):
        raise RecipeError(f"--original {text}: wanted SCHEDULER:STEPS, as in heun:64")
    return scheduler, int(steps)


def _baselines(text: str | None, compare: bool, adopted: bool) -> tuple[str, ...]:
    """The baselines that are measured. Raises RecipeError that lists them for another name."""
    usual = ADOPTED_BASELINES if adopted else BASELINES
    known = usual if adopted else (*BASELINES, *MORE_BASELINES)
    installed = adopted or (find_spec("torch") is not None and find_spec("diffusers") is not None)
    if text is None:
        if not installed and not compare:
            print_note("no baselines: PyTorch and diffusers are not installed (pip install 't3export[build]')")
        return usual if installed and not compare else ()
    names = tuple(name.strip() for name in text.split(",") if name.strip() and name.strip() != "none")
    for name in names:
        if name not in known:
            raise RecipeError(f"--baseline: no baseline {name!r}; {did_you_mean(name, (*known, 'none'))}")
    if names and not installed:
        raise EnvironmentProblem("baselines need PyTorch and diffusers: pip install 't3export[build]'")
    return names
