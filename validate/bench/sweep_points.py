"""The points of each sweep: what is timed, and what a fresh process makes for its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from exporter.errors import RecipeError
from exporter.machine.meter import Progress, metered
from exporter.machine.timing import Action
from exporter.manifest import Manifest
from exporter.pipeline.assets import MeshAsset
from exporter.runtime.bundle import Bundle
from validate.bench.fresh import Order
from validate.bench.lax import lax
from validate.bench.sides import BundleSide, Work

PROMPTS = (1, 2, 4, 8, 16, 32, 64)
GRIDS = (32, 48, 64, 96, 128, 192, 256)
WEIGHTS = ("shap-e-1m", "shap-e-5m", "shap-e-22m", "shap-e-92m", "shap-e-300m")


@dataclass
class Point:
    """One size, what is timed there, and what a fresh process makes for its memory."""

    label: str
    size: float
    action: Action
    order: Order
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))


def _prompts(
    given: Sequence[str], side: BundleSide, work: Work, order: Order, folder: Path, progress: Progress
) -> list[Point]:
    return [
        Point(str(n), n, partial(side.make_many, [work.prompt] * n, work.grid), replace(order, objects=n))
        for n in _numbers(given, PROMPTS)
    ]


def _steps(
    given: Sequence[str], side: BundleSide, work: Work, order: Order, folder: Path, progress: Progress
) -> list[Point]:
    if not side.pipeline.samplings:
        raise RecipeError("--sweep steps: nothing is sampled in this pipeline")
    for stage, sampling in side.pipeline.samplings.items():
        if sampling.unroll != "step":
            raise RecipeError(
                f"--sweep steps: '{stage}' is sampled by one program (unroll: {sampling.unroll}) that cannot stop early"
            )
    most = max(sampling.evaluations for sampling in side.pipeline.samplings.values())
    doubling = [2**i for i in range(most.bit_length()) if 2**i < most]
    counts = _numbers(given, [*doubling, most])
    if max(counts) > most:
        raise RecipeError(f"--points {max(counts)}: the bundle's sampler has {most} evaluations")
    return [Point(str(n), n, partial(side.sampled, work.prompt, n), replace(order, evaluations=n)) for n in counts]


def _grids(
    given: Sequence[str], side: BundleSide, work: Work, order: Order, folder: Path, progress: Progress
) -> list[Point]:
    if side.pipeline.asset(MeshAsset) is None:
        raise RecipeError(f"--sweep grid: this pipeline makes no mesh; it makes {', '.join(side.pipeline.assets)}")
    with metered("one object", progress, []):
        run = side.make(work).run
    return [
        Point(f"{n}³", n, partial(side.mesh, run, n), replace(order, grid=n, evaluations=1))
        for n in _numbers(given, GRIDS)
    ]


def _weights(
    given: Sequence[str], side: BundleSide, work: Work, order: Order, folder: Path, progress: Progress
) -> list[Point]:
    """Bundles of the same recipe with random weights, built for this."""
    points = []
    for name in given or WEIGHTS:
        manifest, parameters = _build(side.bundle, f"random:{name}", folder / name, progress)
        own = BundleSide(Bundle(folder / name, manifest, order.stand_in), order.threads)
        label = f"{name}, {parameters / 1e6:.1f} M"
        points.append(
            Point(label, parameters, own.step(work.prompt), replace(order, folder=str(folder / name), evaluations=1))
        )
    return points


def _build(like: Bundle, weights: str, folder: Path, progress: Progress) -> tuple[Manifest, int]:
    """A bundle of the same recipe and target with other weights, however bad it is; and its samplers' parameters."""
    from exporter.build.build import build
    from exporter.families.registry import load_model
    from exporter.recipe.recipe import Recipe
    from exporter.targets.target import Target

    manifest = like.manifest
    changed = {"model": manifest.recipe["model"] | {"weights": weights}}
    recipe = lax(Recipe.model_validate(manifest.recipe | changed)).in_folder(like.folder)
    made = build(recipe, Target.model_validate(manifest.target), folder, progress=progress, need_gain=False)
    makers = load_model(recipe.model.family, weights, **recipe.model_settings).modules(recipe)
    networks = [makers[stage]() for stage in made.manifest.of_kind("sample")]
    return made.manifest, sum(parameter.numel() for network in networks for parameter in network.parameters())


def _numbers(given: Sequence[str], default: Sequence[int]) -> list[int]:
    for text in given:
        if not text.isdecimal() or not int(text):
            raise RecipeError(f"--points: found {text!r}; this sweep takes whole numbers above 0, as in 1,2,4")
    return sorted({int(text) for text in given}) or list(default)


_Points = Callable[[Sequence[str], BundleSide, Work, Order, Path, Progress], list[Point]]
SWEEPS: dict[str, tuple[_Points, str]] = {
    "prompts": (_prompts, "all prompts to their assets, sampled together as `run` does it"),
    "steps": (_steps, "one prompt to latents with n evaluations of each sampler"),
    "grid": (_grids, "the mesh of a sampled object on a grid of n samples an edge"),
    "weights": (_weights, "one evaluation of each sampler, against their parameters"),
}
