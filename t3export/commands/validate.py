"""`t3export validate`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from exporter.errors import EnvironmentProblem, ValidationFailed
from exporter.files.atomic import require_writable
from exporter.machine.processor import usable_processors
from exporter.manifest import MANIFEST, REPORTS
from t3export.opening import before_opening
from t3export.options import engine_options, stand_in_option
from t3export.output import print_error, print_json, print_note, results
from t3export.progress import Bar
from t3export.prompts import judged_choice
from t3export.quiet import quiet_libraries

if TYPE_CHECKING:
    from validate.ladder.result import RungResult
    from validate.ladder.rungs.rung import Rung


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--rungs", metavar="A,B", help="Only these rungs, by name, comma-separated.")
@click.option("--no-quality", is_flag=True, help="Leave out the quality rung, by far the longest.")
@click.option("--prompts", metavar="N|FILE", help="How many shipped prompts, or pictures, or a file of yours.")
@click.option("--clean-captions", is_flag=True, help="Clean up a file of COCO captions as Dream Fields does.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Objects of each prompt, instead of the recipe's.")
@click.option("--evaluator", type=click.Path(path_type=Path), help="A CLIP folder in the hub's layout that judges.")
@click.option("--weights", metavar="W", help="Where the reference's weights are now, if they were moved.")
@stand_in_option
@click.option("--objects", type=click.IntRange(0, 100), default=12, show_default=True, help="Models in report.html.")
@click.option("--no-layers", is_flag=True, help="Leave out the error by layer, which looks inside the programs.")
@click.option("--workers", type=click.IntRange(0, 64), help="Processes that rasterise meshes.  [default: 1 of 2 cores]")
@engine_options
@click.option("--no-cache", is_flag=True, help="Make the reference's objects anew, even if an earlier run kept them.")
@click.option("--debug", is_flag=True, help="The gap of each operator instead, of an ExecuTorch bundle with records.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report here and leave the bundle untouched.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON document on stdout.")
def command(
    bundle: Path,
    rungs: str | None,
    no_quality: bool,
    prompts: str | None,
    clean_captions: bool,
    seeds: int | None,
    evaluator: Path | None,
    weights: str | None,
    stand_in: str | None,
    objects: int,
    no_layers: bool,
    workers: int | None,
    engine: str,
    worker_memory: str | None,
    no_cache: bool,
    debug: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Prove a BUNDLE against the PyTorch reference it was made from, or an adopted one against its float programs.

    Exit code 5 when a rung misses its tolerance.

    The ladder, the cheap rungs first: stages (each program on recorded inputs), steps (each timestep,
    teacher-forced), latents (free-running), shape (field and mesh), renders, quality (CLIP-R-Precision, and diversity,
    sharpness and consistency where the prompt leaves much open). Every rung runs, even when an earlier one fails.

    With --on onnxruntime the programs of a bundle whose engines are still to be built are measured here; report and
    verdict say so. Without PyTorch, as on a device, --no-quality climbs the first rung and says
    where to climb the others.

    The report goes to reports/report.json in the bundle, for people to reports/report.html, and the verdict into its
    manifest; a run of --rungs alone leaves the manifest's verdict as it is.

    \b
    Examples:
      t3export validate artifacts/shape_e_int8/cpu
      t3export validate artifacts/shape_e_fp32/cpu --no-quality
      t3export validate artifacts/shape_e_int8/cpu --rungs stages,steps --json
      t3export validate artifacts/shape_e_int8/cpu --prompts 300 --seeds 2
      t3export validate artifacts/shape_e_int8/cpu --prompts captions.txt --evaluator clip-vit-base-patch32
      t3export validate artifacts/shape_e_image_int8/cpu --prompts 40      (as many shipped pictures)
      t3export validate artifacts/shape_e_int8/orin --on onnxruntime      (before the engines are built)
      t3export validate artifacts/theirs --prompts captions.txt --evaluator clip-vit-base-patch32      (adopted)
      t3export validate . --no-quality      (on the device, after `t3export finish .`)
      t3export validate artifacts/shape_e_int8/cpu-executorch --debug
    """
    chosen = _chosen_rungs(rungs, no_quality)
    quiet_libraries()
    if output:
        require_writable(output)
    if debug:
        _tell_gaps(bundle, output, as_json)
        return
    from validate.ladder.report import REPORT_FILE, record_in_bundle, report_table, write_report
    from validate.objects.open_engine import LOCAL, open_engine
    from validate.prove import Options, validate_bundle

    before_opening(bundle, stand_in)
    recorded = not output and not chosen
    if recorded:
        _require_place(bundle)
    options = Options(
        rungs=chosen,
        quality=not no_quality,
        prompts=judged_choice(prompts, clean_captions),
        clean_captions=clean_captions,
        seeds=seeds,
        evaluator=evaluator,
        weights=weights,
        stand_in=stand_in,
        workers=usable_processors() // 2 if workers is None else workers,
        cache=not no_cache,
        objects=objects,
        layers=not no_layers,
    )
    with open_engine(engine, worker_memory) as opened, Bar(quiet=as_json) as bar:
        shown = LadderProgress(bar)
        far = None if engine == LOCAL else opened
        report = validate_bundle(bundle, options, on_rung=shown.on_rung, progress=shown.on_count, engine=far)
    if not as_json:
        results().print(report_table(report))
    written, page, failure = output, None, None
    if output:
        write_report(report, output)
    elif recorded:
        try:
            written = record_in_bundle(report, bundle)
        except EnvironmentProblem as error:
            failure, written = error, Path(tempfile.mkdtemp(prefix="t3export-")) / REPORT_FILE
            write_report(report, written)
            print_error(f"{error}. The bundle has no new verdict; the report went elsewhere")
        else:
            with Bar(quiet=as_json) as bar:
                bar.add_task("the page for people", total=None)
                page = _write_page(bundle)
    if as_json:
        print_json(report.to_dict())
    else:
        if report.stand_in:
            print_note(report.stand_in)
        print_note(f"report: {written}" if written else "no report is kept of single rungs; name one with --output")
        if page:
            print_note(f"for people: {page}")
    if failure:
        raise click.exceptions.Exit(failure.exit_code)
    if as_json and not report.passed:
        raise click.exceptions.Exit(ValidationFailed.exit_code)
    report.require_passed()


def _require_place(bundle: Path) -> None:
    """Raises EnvironmentProblem where the report and the verdict would have no place in the bundle."""
    from validate.ladder.report import REPORT_FILE

    try:
        for file in (bundle / MANIFEST, bundle / REPORTS / REPORT_FILE):
            require_writable(file)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(f"{error}: `--output FILE` keeps the report, and leaves the bundle as it is") from None


def _chosen_rungs(text: str | None, no_quality: bool) -> tuple[str, ...]:
    """The names of --rungs, none for the whole ladder. Raises UsageError where nothing is left to climb."""
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise click.UsageError("--rungs: name at least one rung, as in --rungs stages,steps")
    if no_quality and "quality" in names:
        raise click.UsageError("--rungs asks for quality and --no-quality leaves it out: give one of them")
    return names


def _write_page(bundle: Path) -> Path | None:
    """report.html; None on a device, which has not what pages are made with."""
    try:
        from validate.page.report_page import write_page
    except ModuleNotFoundError as error:
        print_note(f"no report.html: this Python has no package '{error.name}'")
        return None
    return write_page(bundle)


def _tell_gaps(bundle: Path, output: Path | None, as_json: bool) -> None:
    """Where an ExecuTorch program drifts from the one that PyTorch exported, operator by operator."""
    from exporter.manifest import require_whole
    from validate.bisect.operators import gaps_data, gaps_table, operator_gaps, write_gaps

    manifest = require_whole(bundle)
    if not output:
        _require_place(bundle)
    gaps = operator_gaps(bundle, manifest)
    written = write_gaps(gaps, bundle, output)
    if as_json:
        print_json(gaps_data(gaps))
    else:
        results().print(gaps_table(gaps))
        print_note(f"all {len(gaps)} operators: {written}")


class LadderProgress:
    """A bar for what is being counted, and on stderr a line with the time of every finished rung."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.task = bar.add_task("opening", total=None)

    def on_rung(self, rung: Rung, result: RungResult | None) -> None:
        if result is None:
            self.bar.restart(self.task, rung.title)
        else:
            self.bar.console.print(
                f"[bold]{result.name}[/] {result.status} in {result.seconds:.1f} s  {escape(result.summary)}"
            )

    def on_count(self, what: str, done: int, total: int) -> None:
        self.bar.begin(self.task, what)
        self.bar.update(self.task, completed=done, total=total or None)
