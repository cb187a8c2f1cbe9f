"""One recipe on one target measured: built or taken as it lies there, proved by the ladder, and timed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.build.build import build
from exporter.files.cache import Cache
from exporter.machine.meter import Progress, metered
from exporter.machine.processor import this_processor
from exporter.machine.timing import Speed, interleaved
from exporter.machine.torch_threads import one_torch_thread
from exporter.manifest import MANIFEST, Manifest, read_manifest, require_whole
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.stand_in import stand_in
from exporter.targets.target import Target
from validate.bench.sides import BundleSide, first_object
from validate.bench.torch_sides import TorchSide
from validate.ci.measurement import QUALITY, MeasuredQuality, MeasuredSpeed, Measurement, RungFigures
from validate.ladder.report import Report, record_in_bundle
from validate.ladder.result import RungResult
from validate.objects.reference import load_reference
from validate.prove import Options, validate_bundle

STEP_SECONDS = 10.0
NO_ENGINES = "onnxruntime"


@dataclass(frozen=True)
class RecipeOnTarget:
    """A recipe on a target, and the folder of its bundle."""

    recipe: Recipe
    target: Target
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.recipe.name}/{self.target.name}"


@dataclass(frozen=True)
class How:
    """`reuse`: bundles are taken as they lie there, when they are whole and of the same recipe."""

    options: Options
    reuse: bool = False


def measure(pair: RecipeOnTarget, how: How, progress: Progress) -> Measurement:
    """Raises T3Error: BundleError or ValidationFailed for a bundle that is damaged or not good enough to be built."""
    _provide(pair, how, progress)
    manifest = require_whole(pair.folder)
    report = _validate(pair, how.options, progress)
    return Measurement(
        bundle_digest=report.bundle_digest,
        weights_digest=manifest.weights.digest,
        stored_bytes=sum(stage.size for stage in manifest.stages.values()),
        rungs={rung.name: _rung(rung) for rung in report.rungs},
        quality=_quality(report),
        speed=time_step(pair, progress),
    )


def time_step(pair: RecipeOnTarget, progress: Progress) -> MeasuredSpeed | None:
    """One evaluation of each sampler beside the original's, one thread each; None where the target does not run here
    or no sampler has a program of one evaluation."""
    manifest = read_manifest(pair.folder)
    unrolls = {sampling.unroll for sampling in manifest.samplings.values()}
    if stand_in(pair.target) or _is_kit(manifest) or unrolls != {"step"}:
        return None
    with metered(f"time {pair.name}", progress, []):
        bundle = Bundle.open(pair.folder)
        original = TorchSide(load_reference(manifest, pair.recipe))
        prompt = first_object(bundle)
        with one_torch_thread():
            steps = {"original": original.step(prompt), "bundle": BundleSide(bundle, 1).step(prompt)}
            found = Speed.of(*interleaved(steps, STEP_SECONDS).values())
    return MeasuredSpeed(ratio=found.ratio, low=found.low, high=found.high, processor=this_processor().name)


def _provide(pair: RecipeOnTarget, how: How, progress: Progress) -> None:
    there = how.reuse and (pair.folder / MANIFEST).is_file()
    if not there or read_manifest(pair.folder).recipe_digest != pair.recipe.digest:
        build(pair.recipe, pair.target, pair.folder, cache=Cache(), progress=progress, need_gain=False)


def _validate(pair: RecipeOnTarget, options: Options, progress: Progress) -> Report:
    kit = _is_kit(read_manifest(pair.folder))
    step = f"validate {pair.name}"
    with metered(step, progress, []):
        report = validate_bundle(
            pair.folder,
            replace(options, stand_in=NO_ENGINES if kit else None),
            progress=lambda what, done, total: progress.advanced(step, done, total),
        )
    record_in_bundle(report, pair.folder)
    return report


def _is_kit(manifest: Manifest) -> bool:
    """Whether its engines are still to be built on the device."""
    return manifest.engines is not None and manifest.engines.state != "built"


def _rung(rung: RungResult) -> RungFigures:
    plain = RungFigures(status=rung.status, summary=rung.summary)
    worst = rung.worst
    if worst is None:
        return plain
    figure = {"measure": worst.measure, "value": worst.value, "limit": worst.limit, "sense": worst.sense}
    return plain.model_copy(update=figure)


def _quality(report: Report) -> MeasuredQuality | None:
    """Which objects were recognised, where the quality rung was climbed."""
    rung = next((rung for rung in report.rungs if rung.name == QUALITY and "objects" in rung.details), None)
    if rung is None:
        return None
    objects = rung.details["objects"]
    made = {
        "objects": [(one["prompt"], one["seed"]) for one in objects],
        "captions": rung.details["captions"],
        "judge": rung.details["evaluator"]["digest"],
        "views": rung.details["views"]["text"],
    }
    hits = "".join("1" if one["bundle"]["rank"] == 1 and not one["bundle"]["empty"] else "0" for one in objects)
    return MeasuredQuality(made=hashlib.sha256(json.dumps(made).encode()).hexdigest(), hits=hits)
