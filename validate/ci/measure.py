"""One recipe on one target measured: built or taken as it lies there, proved by the ladder, and timed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from exporter.build import build
from exporter.bundle import MANIFEST, read_manifest, require_whole
from exporter.cache import Cache
from exporter.errors import BundleError, ValidationFailed
from exporter.meter import Progress, metered
from exporter.quantize.latency import machine
from exporter.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.stand_in import stand_in
from exporter.target import Target
from validate.bundles import Options, load_reference, validate_bundle
from validate.ci.baseline import Baseline
from validate.ci.compare import Finding, compare, ladder_alone
from validate.ci.measurement import Measurement, Quality, Rung, Speed
from validate.report import Report, record_in_bundle
from validate.result import RungResult
from validate.table.sides import one_step, with_threads
from validate.table.timing import interleaved

STEP_SECONDS = 10.0
QUALITY = "quality"
NO_ENGINES = "onnxruntime"


@dataclass(frozen=True)
class Pair:
    """A recipe on a target, and the folder of its bundle."""

    recipe: Recipe
    target: Target
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.recipe.name}/{self.target.name}"


@dataclass
class Gate:
    """Measures pairs and holds them to a baseline. `reuse` takes bundles as they lie there, when they are whole."""

    baseline: Baseline
    options: Options
    cache: Cache
    progress: Progress
    reuse: bool = False
    measured: dict[str, Measurement] = field(default_factory=dict)

    def check(self, pair: Pair) -> list[Finding]:
        """Everything found of a pair. Whatever is wrong with its bundle is a finding too.

        Raises T3Error of another kind where it could not be measured.
        """
        try:
            found = self.measured[pair.name] = self._measure(pair)
        except (BundleError, ValidationFailed) as error:
            return [Finding(pair.name, "bundle", "regressed", str(error))]
        known = self.baseline.entries.get(pair.name)
        if known is None:
            missing = "no baseline; `--update-baseline REASON` takes what is measured now as one"
            return [
                *ladder_alone(pair.name, found, self.baseline.tolerances),
                Finding(pair.name, "baseline", "not run", missing),
            ]
        return compare(pair.name, found, known.measurement, self.baseline.tolerances)

    def _measure(self, pair: Pair) -> Measurement:
        self._provide(pair)
        manifest = require_whole(pair.folder)
        report = self._validate(pair)
        return Measurement(
            bundle_digest=report.bundle_digest,
            weights_digest=manifest.weights.digest,
            stored_bytes=sum(stage.size for stage in manifest.stages.values()),
            rungs={rung.name: _rung(rung) for rung in report.rungs},
            quality=_quality(report),
            speed=self._speed(pair),
        )

    def _provide(self, pair: Pair) -> None:
        """Build the bundle, unless it is to be taken as it is and is this recipe's."""
        there = self.reuse and (pair.folder / MANIFEST).is_file()
        if there and read_manifest(pair.folder).recipe_digest == pair.recipe.digest:
            return
        build(pair.recipe, pair.target, pair.folder, cache=self.cache, progress=self.progress, need_gain=False)

    def _validate(self, pair: Pair) -> Report:
        engines = read_manifest(pair.folder).engines
        kit = engines is not None and engines.state != "built"
        options = replace(self.options, stand_in=NO_ENGINES if kit else None)
        with metered(f"validate {pair.name}", self.progress, []) as step:
            report = validate_bundle(pair.folder, options, progress=self._told(step.name))
        record_in_bundle(report, pair.folder)
        return report

    def _told(self, step: str) -> Callable[[str, int, int], None]:
        return lambda what, done, total: self.progress.advanced(step, done, total)

    def _speed(self, pair: Pair) -> Speed | None:
        """One step of the sampler beside the reference's, one thread each; None where the target does not run here."""
        if stand_in(pair.target) or pair.recipe.sampler.unroll != "step":
            return None
        with metered(f"time {pair.name}", self.progress, []):
            bundle = with_threads(Bundle.open(pair.folder), 1)
            reference = load_reference(bundle.manifest, pair.recipe)
            prompt = pair.recipe.goldens.prompts[0]
            with _one_torch_thread():
                found = interleaved(one_step(reference, prompt), one_step(bundle, prompt), STEP_SECONDS)
        return Speed(ratio=found.ratio, low=found.low, high=found.high, processor=str(machine()["processor"]))


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rung(rung: RungResult) -> Rung:
    plain = Rung(status=rung.status, summary=rung.summary)
    worst = rung.worst
    if worst is None:
        return plain
    return plain.model_copy(update={"value": worst.value, "limit": worst.limit, "sense": worst.sense})


def _quality(report: Report) -> Quality | None:
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
    return Quality(made=hashlib.sha256(json.dumps(made).encode()).hexdigest(), hits=hits)
