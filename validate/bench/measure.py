"""Bundles and baselines measured: each made ready, all timed in turns, and each again in a process of its own."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporter.adopt.float_bundle import float_bundle
from exporter.errors import EnvironmentProblem
from exporter.machine.meter import Progress, metered
from exporter.machine.timing import in_turns, timed
from exporter.manifest import Manifest
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.pipeline import Pipeline
from exporter.runtime.assets.pictures import picture_size
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Arrays
from validate.bench.fresh import Order, fresh
from validate.bench.machine import describe
from validate.bench.sides import TENSORS, BundleSide, Side, Work, first_object
from validate.bench.timings import BenchResult, SideResult

LOADS = 3
FLOW = "flow_euler"
PROMPT = "a red chair"
# The baseline of programs that somebody else exported: the float files that travel with them.
FLOAT = "float"


@dataclass(frozen=True)
class BenchSettings:
    """What a person may choose. `baselines`: forms of the PyTorch model, or `FLOAT` of an adopted bundle.

    `grid` and `picture` None: the first bundle's own; `picture` 0: no image beside a mesh. `original`: scheduler and
    steps of the PyTorch baselines, for None those of `usual_sampler`. A baseline whose sampler would take longer than
    `limit_seconds` is composed of one measured evaluation.
    """

    baselines: tuple[str, ...] = ()
    threads: int = 1
    rounds: int = 5
    prompt: str = PROMPT
    grid: int | None = None
    picture: int | None = None
    original: tuple[str, int] | None = None
    limit_seconds: float = 60.0
    fresh: bool = True
    stand_in: str | None = None
    memory_limit_mb: int | None = None

    def open(self, folder: Path) -> Bundle:
        """A bundle as it is to be measured. Raises BundleError."""
        return Bundle.open(folder, stand_in=self.stand_in, memory_limit_mb=self.memory_limit_mb)

    def work(self, bundle: Bundle) -> Work:
        """What is made, on the sizes of this bundle where none are given. Raises RecipeError."""
        mesh = bundle.pipeline.asset(MeshAsset)
        grid = (self.grid or mesh.grid) if mesh else None
        return Work(self._given(bundle), grid, self._picture(bundle.pipeline))

    def _picture(self, pipeline: Pipeline) -> int | None:
        """Pixels along an edge."""
        image = pipeline.asset(ImageAsset)
        if image is None:
            return None
        return max(picture_size(pipeline, image, self.picture)) if self.picture != 0 else 0

    def _given(self, bundle: Bundle) -> str:
        """What an object is made of; in place of the usual prompt the first picture that a bundle brings along."""
        usual = self.prompt == PROMPT and not bundle.pipeline.texts
        return first_object(bundle) if usual else self.prompt

    def order(self, bundle: Bundle, work: Work) -> Order:
        """What a fresh process is to make of it: one object."""
        order = Order(str(bundle.folder), work.prompt, work.grid, self.threads)
        return replace(order, stand_in=bundle.stand_in, memory_limit_mb=self.memory_limit_mb)


@dataclass
class _Entry:
    """A side that is being measured, and what is known of it so far."""

    result: SideResult
    order: Order
    side: Side


def measure(folders: Sequence[Path], settings: BenchSettings, progress: Progress) -> BenchResult:
    """Measure bundles and baselines of the first of them. A baseline that cannot be made says why.

    Raises BundleError for a bundle that cannot be opened.
    """
    machine = describe(settings.threads)
    bundles = [settings.open(folder) for folder in folders]
    first = bundles[0].manifest
    work = settings.work(bundles[0])
    entries = [_bundle(bundle, work, settings) for bundle in bundles]
    results = {}
    for name in settings.baselines:
        scheduler, steps = settings.original or usual_sampler(first)
        order = replace(entries[0].order, baseline=name, scheduler=scheduler, steps=steps)
        made = _float(order, bundles[0]) if name == FLOAT else _baseline(order, bundles[0], progress)
        if isinstance(made, SideResult):
            results[name] = made
        else:
            entries.append(made)
    latents = _warm_up(entries, work, settings, progress)
    _take_turns(entries, work, latents, settings.rounds, progress)
    names = [entry.result.name for entry in entries if entry.result.kind == "bundle"]
    measured = [(entry.result, entry.order) for entry in entries]
    # All sides together may fill the memory that one needs alone.
    del entries, bundles
    gc.collect()
    for result, order in measured:
        results[result.name] = _alone(result, order, progress) if settings.fresh else result
    told = {"prompt": work.prompt, "grid": work.grid, "picture": work.picture, "rounds": settings.rounds}
    told |= {"asset": next(iter(first.assets), TENSORS)}
    told |= {"weights": first.weights.source, "trained": first.weights.trained}
    return BenchResult(machine, told, [results[name] for name in (*settings.baselines, *names)])


def usual_sampler(pipeline: Pipeline) -> tuple[str, int]:
    """Scheduler and steps of the original of a bundle, where nobody chose them: those that such models are published
    with, 64 steps of Heun (Shap-E, Point-E), or of a flow 50 Euler steps (TripoSG, Hunyuan3D)."""
    is_flow = any(sampling.scheduler == FLOW for sampling in pipeline.samplings.values())
    return (FLOW, 50) if is_flow else ("heun", 64)


def _bundle(bundle: Bundle, work: Work, settings: BenchSettings) -> _Entry:
    manifest = bundle.manifest
    sizes = (file.size for file in manifest.files.values())
    result = SideResult(
        str(bundle.folder),
        f"{manifest.name} ({', '.join(sorted({stage.precision for stage in manifest.stages.values()}))})",
        "bundle",
        stored_bytes=sum(sizes),
        program_bytes=sum(stage.size for stage in manifest.stages.values()),
        **_sampled(manifest),
    )
    return _Entry(result, settings.order(bundle, work), BundleSide(bundle, settings.threads))


def _float(order: Order, bundle: Bundle) -> _Entry:
    """The float programs that an adopted bundle is compared with."""
    side = BundleSide(float_bundle(bundle.folder, bundle.manifest), order.threads)
    size = sum(stage.size for stage in side.bundle.manifest.stages.values())
    title = "the float programs, ONNX Runtime"
    result = SideResult(FLOAT, title, "baseline", program_bytes=size, **_sampled(bundle.manifest))
    return _Entry(result, order, side)


def _sampled(manifest: Manifest) -> dict[str, Any]:
    """How a bundle samples, for people, and how many evaluations that takes."""
    samplings = manifest.samplings.values()
    return {
        "sampler": "; ".join(dict.fromkeys(f"{one.scheduler}, {one.steps} steps" for one in samplings)),
        "evaluations": sum(one.evaluations for one in samplings),
    }


def _baseline(order: Order, bundle: Bundle, progress: Progress) -> _Entry | SideResult:
    """The side, made ready; or its result where that fails."""
    from validate.bench.torch_sides import BASELINES, torch_side

    result = SideResult(
        order.baseline,
        BASELINES[order.baseline].title,
        "baseline",
        f"{order.scheduler}, {order.steps} steps" if bundle.pipeline.of_kind("sample") else "",
    )
    try:
        with metered(f"make {order.baseline} ready", progress, []):
            side = torch_side(order.baseline, bundle.manifest, order.scheduler, order.steps, order.threads)
            # Compilers and exporters do their work at the first evaluation.
            side.step(order.prompt)()
            side.run_before_places(order.prompt)
            evaluations = sum(map(side.evaluations, side.pipeline.of_kind("sample")))
    # What a compiler or an exporter raises is not ours to list: it is that side's finding.
    except Exception as error:
        return replace(result, reason=": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]]))
    return _Entry(replace(result, evaluations=evaluations), order, side)


def _warm_up(entries: list[_Entry], work: Work, settings: BenchSettings, progress: Progress) -> Arrays:
    """Run every side once; the latents of the first, a bundle. Decides which sides are composed."""
    for entry in entries:
        with metered(f"warm up {entry.result.title}", progress, []):
            if not isinstance(entry.side, BundleSide):
                steps = entry.side.steps(work.prompt).items()
                sampling = sum(timed(action) * entry.side.evaluations(stage) for stage, action in steps)
                composed = sampling > settings.limit_seconds
                entry.result = replace(entry.result, composed=composed)
                entry.order = replace(entry.order, evaluations=1 if composed else None)
            made = entry.side.make(work, evaluations=1)
        if entry is entries[0]:
            latents = made.latents
    return latents


def _take_turns(entries: list[_Entry], work: Work, latents: Arrays, rounds: int, progress: Progress) -> None:
    by_name = {entry.result.name: entry for entry in entries}
    for number, order in enumerate(in_turns(list(by_name), rounds)):
        with metered(f"round {number + 1} of {rounds}", progress, []):
            for done, name in enumerate(order):
                progress.advanced(f"round {number + 1} of {rounds}", done, len(order))
                entry = by_name[name]
                made = entry.side.make(work, entry.order.evaluations, latents if entry.result.composed else None)
                # What a composed side decodes is an object that a bundle has made.
                latents = made.latents if entry is entries[0] else latents
                result = entry.result
                for kept, found in (
                    (result.seconds, made.seconds), (result.besides, made.besides), (result.step_seconds, made.steps),
                ):  # fmt: skip
                    for part, seconds in found.items():
                        kept.setdefault(part, []).append(seconds)


def _alone(result: SideResult, order: Order, progress: Progress) -> SideResult:
    """The side in fresh processes: some that open all of it, and one that makes an object.

    Where one of them dies, as it does where memory does not suffice, the side is left without their figures.
    """
    try:
        with metered(f"a fresh process for {result.title}", progress, []):
            opened = [fresh(replace(order, objects=0)).load_seconds for _ in range(LOADS)]
            made = fresh(order)
    except EnvironmentProblem as problem:
        warnings.warn(f"no load time and memory of {result.title}: {problem}", stacklevel=2)
        return result
    return replace(result, fresh=made, load_seconds=opened)
