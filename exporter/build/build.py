"""From a recipe to a bundle: load weights, record goldens, trace, quantize, compile, check, put in place."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from exporter.backends.backend import Backend, MadeProgram
from exporter.backends.known import backend_of
from exporter.build.assemble import add_figures, make_manifest, write_files
from exporter.build.failed import forget_failed, kept_aside
from exporter.build.gain import Gain, require_gain, weigh
from exporter.build.known_layers import require_known_layers
from exporter.errors import EnvironmentProblem, ValidationFailed
from exporter.files.cache import Cache, Entry
from exporter.files.swap import replacing
from exporter.graphs.rewrites import Rewrite, read_rewrites
from exporter.machine.meter import Progress, Silent, StepRecord, metered
from exporter.manifest import Manifest, bundle_digest, write_manifest
from exporter.recipe.recipe import Recipe
from exporter.runtime.beside import beside_former
from exporter.targets.accept import fitted, require_accepted
from exporter.targets.target import Target, require_complete
from exporter.workshop.calibration import uncalibrated
from exporter.workshop.goldens import GoldenParity, check, goldens_of
from exporter.workshop.workshop import Workshop

Proof = Callable[[Path], None]


@dataclass
class BuildReport:
    """What a build did. `steps` in order with their times and peak memory, `parities` of every golden, and warnings.

    `rewrites`: by stage, what each pass over its graph rewrote.
    """

    out: Path
    digest: str
    manifest: Manifest
    steps: list[StepRecord] = field(default_factory=list)
    parities: list[GoldenParity] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    gains: list[Gain] = field(default_factory=list)
    rewrites: dict[str, list[Rewrite]] = field(default_factory=dict)


def build(
    recipe: Recipe,
    target: Target,
    out: Path,
    *,
    cache: Cache | None = None,
    progress: Progress | None = None,
    need_gain: bool = True,
    prove: Proof | None = None,
    keep_failed: bool = True,
) -> BuildReport:
    """Build the bundle of a recipe for a target into `out`, replacing the bundle that is there only when all of it is
    good. What lies beside that bundle stays.

    Raises RecipeError for a planned target or a recipe that it does not take, WeightsError, ValidationFailed when a
    program misses its golden or, with `need_gain`, a stage does not save what the recipe is for (the former bundle
    stays), EnvironmentProblem on a full disk. `prove(folder)` is given the whole bundle before it is put in place, and
    keeps it from that by raising. What misses a golden or the proof is kept in `failed`, beside the bundle's place,
    with `keep_failed`.
    """
    require_complete(target)
    recipe, left_out = fitted(recipe, target)
    require_accepted(recipe, target)
    backend = backend_of(target)
    with _full_disk_told(out), replacing(out, beside_former) as folder:
        workshop = Workshop.open(recipe, target, cache or Cache(), progress or Silent())
        recipe.quantization.table.require_calibrated(uncalibrated(workshop.pipeline))
        require_known_layers(recipe.quantization.table, workshop.model, recipe)
        goldens = workshop.goldens()
        made = _make_programs(workshop, backend)
        with metered("write bundle", workshop.progress, workshop.steps):
            write_files(workshop, folder, goldens, made)
            addition = backend.complete(workshop, folder, made)
        with metered("manifest", workshop.progress, workshop.steps):
            manifest = make_manifest(workshop, folder, made, addition)
            write_manifest(folder, manifest)
        parities = _check_programs(workshop, backend, folder, made)
        with kept_aside(folder, out, manifest) if keep_failed else nullcontext():
            _require_goldens(parities)
        gains = weigh(workshop, backend, folder, made)
        if need_gain:
            require_gain(gains, recipe.quantization.saves)
        with metered("measure", workshop.progress, workshop.steps):
            manifest = add_figures(workshop, folder, manifest, made, parities, addition.measured)
        if prove:
            with kept_aside(folder, out, manifest) if keep_failed else nullcontext():
                prove(folder)
    forget_failed(out)
    rewrites = {one.name: read_rewrites(one.entry.folder) for one in made}
    warnings = [*workshop.model.weights_notes, *left_out, *addition.warnings, *_idle(rewrites)]
    return BuildReport(out, bundle_digest(manifest), manifest, workshop.steps, parities, warnings, gains, rewrites)


def _make_programs(workshop: Workshop, backend: Backend) -> list[MadeProgram]:
    """Every program traced, quantized and compiled, one after the other, so that only one is in memory at a time."""
    made = []
    for program in backend.make_programs(workshop):
        entries: list[Entry] = []
        for transform in program.transforms(workshop.target):
            entries.append(workshop.transform(transform, program.name, entries[-1] if entries else None))
        made.append(MadeProgram(program, entries[-1], entries[0]))
    layers = [(layer.name, layer.operator) for one in made for layer in one.program.layers(one.entry.folder)]
    workshop.recipe.quantization.table.require_matches(layers)
    return made


def _idle(rewrites: dict[str, list[Rewrite]]) -> list[str]:
    """Warnings of passes that are there for attention and rewrote none of a stage's."""
    return [
        f"stage '{stage}': {rewrite}: it runs as it was traced, slower and in more memory than it could"
        for stage, done in rewrites.items()
        for rewrite in done
        if "Attention" in rewrite.rewritten.kind and not rewrite.rewritten.done
    ]


def _check_programs(workshop: Workshop, backend: Backend, folder: Path, made: list[MadeProgram]) -> list[GoldenParity]:
    parities: list[GoldenParity] = []
    for one in made:
        with metered(f"check {one.name}", workshop.progress, workshop.steps):
            session = backend.open_program(folder / one.main, workshop.target)
            precision = one.program.precision(one.entry.folder)
            limit = workshop.limit_db(one.name, precision)
            parities += check(one.name, session, goldens_of(folder, one.name), precision, limit)
            del session
    return parities


def _require_goldens(parities: list[GoldenParity]) -> None:
    missed = [p for p in parities if not p.passed]
    if missed:
        worst = min(missed, key=lambda p: p.parity.snr_db - p.limit_db)
        raise ValidationFailed(
            f"stage '{worst.stage}' ({worst.precision}) misses its golden {worst.golden}: output '{worst.tensor}' has "
            f"{worst.parity.snr_db:.1f} dB, the recipe wants {worst.limit_db:.1f} dB (validation.tolerances."
            f"{worst.precision}.stage_snr_db); {len(missed)} of {len(parities)} outputs miss. The former bundle is "
            "untouched. Quantize fewer stages, or lower the tolerance if this quality is good enough"
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
