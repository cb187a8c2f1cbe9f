"""From a recipe to a bundle: load weights, record goldens, trace, quantize, compile, check, put in place."""

from __future__ import annotations

import errno
import gc
import hashlib
import inspect
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from exporter.backends.registry import compiler_for
from exporter.bundle import (
    Manifest,
    MeshPart,
    RenderPart,
    SamplerPart,
    StagePart,
    TensorPart,
    TokenizerPart,
    WeightsPart,
    bundle_digest,
    list_files,
    write_atomically,
    write_manifest,
)
from exporter.cache import Cache, Entry
from exporter.errors import EnvironmentProblem, RecipeError, ValidationFailed
from exporter.families.base import LoadedModel
from exporter.families.registry import load_model
from exporter.goldens import GoldenParity, check, record
from exporter.meter import Progress, Silent, StepRecord, metered
from exporter.programs import Program, make_programs, sampler_table
from exporter.quantize.calibration import record as record_inputs
from exporter.recipe import Recipe
from exporter.runtime.session import open_session
from exporter.sampling.table import CoefficientTable
from exporter.swap import replacing
from exporter.target import Target, require_complete
from exporter.toolchain import versions
from exporter.trace.onnx import PROGRAM

TOKENIZER = "tokenizer/tokenizer.json"
TABLE = "sampler.json"


@dataclass
class BuildReport:
    """What a build did. `steps` in order with their times and peak memory, `parities` of every golden."""

    out: Path
    digest: str
    manifest: Manifest
    steps: list[StepRecord] = field(default_factory=list)
    parities: list[GoldenParity] = field(default_factory=list)


@dataclass
class _Bench:
    """What the steps of one build share."""

    recipe: Recipe
    target: Target
    cache: Cache
    progress: Progress
    model: LoadedModel
    steps: list[StepRecord]


def build(
    recipe: Recipe, target: Target, out: Path, *, cache: Cache | None = None, progress: Progress | None = None
) -> BuildReport:
    """Build the bundle of a recipe for a target into `out`, replacing what is there only when all of it is good.

    Raises RecipeError for a planned target or a precision it lacks, WeightsError, ValidationFailed when a program
    misses its golden (the former bundle stays), EnvironmentProblem on a full disk.
    """
    require_complete(target)
    _require_precisions(recipe, target)
    progress = progress or Silent()
    steps: list[StepRecord] = []
    with _full_disk_told(out), replacing(out) as folder:
        with metered("load weights", progress, steps):
            model = load_model(recipe.model.family, recipe.model.weights)
        bench = _Bench(recipe, target, cache or Cache(), progress, model, steps)
        table = sampler_table(model, recipe)
        goldens = _record_goldens(bench)
        calibration = _record_calibration(bench) if recipe.quantization.table.calibrated else None
        programs = _make_programs(bench, table, calibration)
        with metered("write bundle", progress, steps):
            _write_files(bench, folder, table, goldens, programs)
        parities = _check_programs(bench, folder, programs)
        with metered("manifest", progress, steps):
            manifest = _manifest(bench, folder, table, programs)
            write_manifest(folder, manifest)
    return BuildReport(out, bundle_digest(manifest), manifest, steps, parities)


def _record_goldens(bench: _Bench) -> Entry:
    recipe = bench.recipe
    inputs = {
        **_model_inputs(bench),
        "sampler": recipe.sampler.model_dump(),
        "render": recipe.render.model_dump(exclude={"size"}),
        "goldens": recipe.goldens.model_dump(),
    }
    with metered("record goldens", bench.progress, bench.steps) as step:

        def on_evaluation(done: int, total: int) -> None:
            bench.progress.advanced("record goldens", done, total)

        entry, step.cached = bench.cache.get(
            "goldens", inputs, lambda folder: record(bench.model, recipe, folder, on_evaluation)
        )
    _free(step)
    return entry


def _record_calibration(bench: _Bench) -> Entry:
    """The inputs that quantization takes its ranges from."""
    recipe = bench.recipe
    settings = recipe.quantization.calibration
    recorded = settings.model_dump(exclude={"observer", "percentile"})
    inputs = {**_model_inputs(bench), "sampler": recipe.sampler.model_dump(), "calibration": recorded}
    with metered("record calibration", bench.progress, bench.steps) as step:

        def on_evaluation(done: int, total: int) -> None:
            bench.progress.advanced("record calibration", done, total)

        entry, step.cached = bench.cache.get(
            "calibration", inputs, lambda folder: record_inputs(bench.model, recipe, settings, folder, on_evaluation)
        )
    _free(step)
    return entry


def _make_programs(
    bench: _Bench, table: CoefficientTable, calibration: Entry | None
) -> dict[str, tuple[Program, Entry]]:
    """Every program traced, quantized and compiled, one after the other, so that only one is in memory at a time."""
    compile_program = compiler_for(bench.target)
    finished = {}
    for program in make_programs(bench.model, bench.recipe, table, calibration):
        entry: Entry | None = None
        for transform in program.transforms(bench.target, compile_program):
            inputs = {**_model_inputs(bench), **transform.inputs, "before": entry.key if entry else None}
            name, make = f"{transform.step} {program.name}", partial(transform.run, entry.folder if entry else None)
            with metered(name, bench.progress, bench.steps) as step:
                entry, step.cached = bench.cache.get(name, inputs, make)
            _free(step)
        assert entry is not None
        finished[program.name] = (program, entry)
    layers = [
        (layer.name, layer.operator) for program, entry in finished.values() for layer in program.layers(entry.folder)
    ]
    bench.recipe.quantization.table.require_matches(layers)
    return finished


def _write_files(
    bench: _Bench,
    folder: Path,
    table: CoefficientTable,
    goldens: Entry,
    programs: dict[str, tuple[Program, Entry]],
) -> None:
    write_atomically(folder / TOKENIZER, bench.model.tokenizer.json)
    write_atomically(folder / TABLE, table.to_json().encode())
    (folder / "goldens").mkdir()
    for path in sorted(goldens.folder.glob("*.npz")):
        shutil.copyfile(path, folder / "goldens" / path.name)
    for name, (program, entry) in programs.items():
        (folder / name).mkdir()
        for file in program.files(entry.folder):
            shutil.copyfile(entry.folder / file, folder / name / file)


def _check_programs(bench: _Bench, folder: Path, programs: dict[str, tuple[Program, Entry]]) -> list[GoldenParity]:
    parities: list[GoldenParity] = []
    session_options = bench.target.session.model_dump()
    for name, (program, entry) in programs.items():
        with metered(f"check {name}", bench.progress, bench.steps):
            session = open_session(bench.target.backend, folder / name / PROGRAM, session_options)
            precision = program.precision(entry.folder)
            tolerances = bench.recipe.validation.tolerances[precision]
            parities += check(name, session, _goldens_of(folder, name), precision, tolerances)
            del session
    missed = [p for p in parities if not p.passed]
    if missed:
        worst = min(missed, key=lambda p: p.parity.snr_db - p.limit_db)
        raise ValidationFailed(
            f"stage '{worst.stage}' ({worst.precision}) misses its golden {worst.golden}: output '{worst.tensor}' has "
            f"{worst.parity.snr_db:.1f} dB, the recipe wants {worst.limit_db:.1f} dB (validation.tolerances."
            f"{worst.precision}.stage_snr_db); {len(missed)} of {len(parities)} outputs miss. The former bundle is "
            "untouched. Quantize fewer stages, or lower the tolerance if this quality is good enough"
        )
    return parities


def _manifest(
    bench: _Bench, folder: Path, table: CoefficientTable, programs: dict[str, tuple[Program, Entry]]
) -> Manifest:
    recipe, model = bench.recipe, bench.model
    files = list_files(folder)
    stages = {}
    for name, (program, entry) in programs.items():
        main = f"{name}/{PROGRAM}"
        own = [file for file in files if file.startswith(f"{name}/")]
        stages[name] = StagePart(
            program=main,
            external_data=[file for file in own if file != main],
            inputs=[TensorPart(**spec.to_dict()) for spec in program.inputs(entry.folder)],
            outputs=[TensorPart(**spec.to_dict()) for spec in program.outputs(entry.folder)],
            precision=program.precision(entry.folder),
            layers={y.name: y.precision for y in program.layers(entry.folder) if y.precision != "fp32"},
            size=sum(files[file].size for file in own),
        )
    tokenizer = model.tokenizer
    return Manifest(
        name=f"{recipe.name}/{bench.target.name}",
        recipe=recipe.data(),
        recipe_digest=recipe.digest,
        weights=WeightsPart(source=model.weights_source, digest=model.weights_digest, trained=model.trained),
        target=bench.target.model_dump(mode="json"),
        toolchain=versions(),
        files=files,
        stages=stages,
        tokenizer=TokenizerPart(file=TOKENIZER, context_length=tokenizer.context_length, pad_id=tokenizer.pad_id),
        sampler=SamplerPart(
            **recipe.sampler.model_dump(),
            evaluations=table.evaluations,
            init_noise_sigma=table.init_noise_sigma,
            latent_shape=list(model.latent_shape),
            table=TABLE,
        ),
        mesh=MeshPart(**recipe.mesh.model_dump()),
        render=RenderPart(**recipe.render.model_dump()),
        goldens={name: [f"goldens/{path.name}" for path in _goldens_of(folder, name)] for name in programs},
    )


def _goldens_of(folder: Path, stage: str) -> list[Path]:
    return sorted((folder / "goldens").glob(f"{stage}_[0-9]*.npz"))


def _model_inputs(bench: _Bench) -> dict[str, Any]:
    """What every step depends on: the weights, and the family's own source, which may lie outside the exporter."""
    source = Path(inspect.getfile(type(bench.model)))
    return {
        "family": bench.recipe.model.family,
        "family_source": hashlib.sha256(source.read_bytes()).hexdigest(),
        "weights": bench.model.weights_digest,
    }


def _free(step: StepRecord) -> None:
    """Traced modules hang in cycles: the next program must not find the last one's weights in memory."""
    if not step.cached:
        gc.collect()


def _require_precisions(recipe: Recipe, target: Target) -> None:
    lacking = recipe.precisions - set(target.precisions)
    if lacking:
        raise RecipeError(
            f"recipe '{recipe.name}' has layers in {', '.join(sorted(lacking))}, which target '{target.name}' lacks; "
            f"it has {', '.join(target.precisions)}"
        )


@contextmanager
def _full_disk_told(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise EnvironmentProblem(
            f"{out}: the disk is full ({error.filename or 'while writing'}); nothing of the former bundle was changed. "
            "Free some space (`t3export cache prune`), or build elsewhere with --output"
        ) from error
