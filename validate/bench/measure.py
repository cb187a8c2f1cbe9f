"""Bundles and baselines measured: each made ready, all timed in turns, and each again in a process of its own."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
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
    """A side that is being measured, what it makes, and what is known of it so far. `model`: digest of its weights."""

    result: SideResult
    order: Order
    side: Side
    work: Work
    model: str


def measure(folders: Sequence[Path], settings: BenchSettings, progress: Progress) -> BenchResult:
    """Measure bundles and baselines of their models: of each weights' first bundle, whose inputs the others of the same
    weights get too. Sizes are those of the first bundle of all. A baseline that cannot be made says why.

    Raises BundleError for a bundle that cannot be opened.
    """
    machine = describe(settings.threads)
    bundles = [settings.open(folder) for folder in folders]
    first = bundles[0].manifest
    sizes = settings.work(bundles[0])
    settings = replace(settings, grid=sizes.grid, picture=sizes.picture)
    models: dict[str, Bundle] = {}
    for bundle in bundles:
        models.setdefault(bundle.manifest.weights.digest, bundle)
    works = {digest: settings.work(model) for digest, model in models.items()}
    told: dict[str, Any] = {"prompt": ", ".join(dict.fromkeys(work.prompt for work in works.values()))}
    told |= {"grid": sizes.grid, "picture": sizes.picture, "rounds": settings.rounds}
    told |= {"asset": next(iter(first.assets), TENSORS)} | _weights([model.manifest for model in models.values()])
    entries = [_bundle(bundle, works[bundle.manifest.weights.digest], settings) for bundle in bundles]
    made = [*_baselines(models, works, settings, progress), *entries]
    entries += [one for one in made[: -len(bundles)] if isinstance(one, _Entry)]
    results = {one.name: one for one in (side.result if isinstance(side, _Entry) else side for side in made)}
    latents = _warm_up(entries, settings, progress)
    _take_turns(entries, latents, settings.rounds, progress)
    measured = [(entry.result, entry.order) for entry in entries]
    # All sides together may fill the memory that one needs alone.
    del entries, made, bundles, models, bundle
    gc.collect()
    for result, order in measured:
        results[result.name] = _alone(result, order, progress) if settings.fresh else result
    return BenchResult(machine, told, list(results.values()))


def _weights(models: Sequence[Manifest]) -> dict[str, Any]:
    """What is told of them."""
    weights = [model.weights for model in models]
    return {"weights": ", ".join(one.source for one in weights), "trained": all(one.trained for one in weights)}


def _baselines(
    models: dict[str, Bundle], works: dict[str, Work], settings: BenchSettings, progress: Progress
) -> Iterator[_Entry | SideResult]:
    """Every baseline of every model, by its name alone where there is one model."""
    for (digest, model), baseline in product(models.items(), settings.baselines):
        scheduler, steps = settings.original or usual_sampler(model.manifest)
        order = replace(settings.order(model, works[digest]), baseline=baseline, scheduler=scheduler, steps=steps)
        name = baseline if len(models) == 1 else f"{baseline} of {model.folder}"
        yield _baseline(name, order, model, works[digest], progress)


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
    side = BundleSide(bundle, settings.threads)
    return _Entry(result, settings.order(bundle, work), side, work, manifest.weights.digest)


def _float(name: str, order: Order, bundle: Bundle, work: Work) -> _Entry:
    """The float programs that an adopted bundle is compared with."""
    side = BundleSide(float_bundle(bundle.folder, bundle.manifest), order.threads)
    size = sum(stage.size for stage in side.bundle.manifest.stages.values())
    title = "the float programs, ONNX Runtime"
    result = SideResult(name, title, "baseline", program_bytes=size, **_sampled(bundle.manifest))
    return _Entry(result, order, side, work, bundle.manifest.weights.digest)


def _sampled(manifest: Manifest) -> dict[str, Any]:
    """How a bundle samples, for people, and how many evaluations that takes."""
    samplings = manifest.samplings.values()
    return {
        "sampler": "; ".join(dict.fromkeys(f"{one.scheduler}, {one.steps} steps" for one in samplings)),
        "evaluations": sum(one.evaluations for one in samplings),
    }


def _baseline(name: str, order: Order, bundle: Bundle, work: Work, progress: Progress) -> _Entry | SideResult:
    """The side, made ready; or its result where that fails."""
    if order.baseline == FLOAT:
        return _float(name, order, bundle, work)
    from validate.bench.torch_sides import BASELINES, torch_side

    result = SideResult(
        name,
        BASELINES[order.baseline].title,
        "baseline",
        f"{order.scheduler}, {order.steps} steps" if bundle.pipeline.of_kind("sample") else "",
    )
    try:
        with metered(f"make {name} ready", progress, []):
            side = torch_side(order.baseline, bundle.manifest, order.scheduler, order.steps, order.threads)
            # Compilers and exporters do their work at the first evaluation.
            side.step(order.prompt)()
            side.run_before_places(order.prompt)
            evaluations = sum(map(side.evaluations, side.pipeline.of_kind("sample")))
    # What a compiler or an exporter raises is not ours to list: it is that side's finding.
    except Exception as error:
        return replace(result, reason=": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]]))
    return _Entry(replace(result, evaluations=evaluations), order, side, work, bundle.manifest.weights.digest)


def _warm_up(entries: list[_Entry], settings: BenchSettings, progress: Progress) -> dict[str, Arrays]:
    """Run every side once; by model the latents of its first side, a bundle. Decides which sides are composed."""
    latents: dict[str, Arrays] = {}
    for entry in entries:
        with metered(f"warm up {entry.result.title}", progress, []):
            if not isinstance(entry.side, BundleSide):
                steps = entry.side.steps(entry.work.prompt).items()
                sampling = sum(timed(action) * entry.side.evaluations(stage) for stage, action in steps)
                composed = sampling > settings.limit_seconds
                entry.result = replace(entry.result, composed=composed)
                entry.order = replace(entry.order, evaluations=1 if composed else None)
            made = entry.side.make(entry.work, evaluations=1)
        latents.setdefault(entry.model, made.latents)
    return latents


def _take_turns(entries: list[_Entry], latents: dict[str, Arrays], rounds: int, progress: Progress) -> None:
    by_name = {entry.result.name: entry for entry in entries}
    for number, order in enumerate(in_turns(list(by_name), rounds)):
        with metered(f"round {number + 1} of {rounds}", progress, []):
            for done, name in enumerate(order):
                progress.advanced(f"round {number + 1} of {rounds}", done, len(order))
                entry = by_name[name]
                given = latents[entry.model] if entry.result.composed else None
                made = entry.side.make(entry.work, entry.order.evaluations, given)
                # What a composed side decodes is an object that a bundle has made.
                if entry.result.kind == "bundle":
                    latents[entry.model] = made.latents
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
