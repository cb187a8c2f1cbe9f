"""The points of each sweep: what is timed, and what a fresh process makes for its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from exporter.errors import RecipeError
from exporter.machine.meter import Progress, metered
from exporter.machine.timing import Action
from exporter.manifest import Manifest
from exporter.recipe.policy import Precision
from exporter.runtime.bundle import Bundle
from validate.bench.fresh import Order
from validate.bench.lax import LAX
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
    settings = side.bundle.manifest.sampler
    if settings.unroll != "step":
        raise RecipeError(
            f"--sweep steps: the sampler is one program (unroll: {settings.unroll}) that cannot stop early"
        )
    doubling = [2**i for i in range(settings.evaluations.bit_length()) if 2**i < settings.evaluations]
    counts = _numbers(given, [*doubling, settings.evaluations])
    if max(counts) > settings.evaluations:
        raise RecipeError(f"--points {max(counts)}: the bundle's sampler has {settings.evaluations} evaluations")
    return [Point(str(n), n, partial(side.sample, work.prompt, n), replace(order, evaluations=n)) for n in counts]


def _grids(
    given: Sequence[str], side: BundleSide, work: Work, order: Order, folder: Path, progress: Progress
) -> list[Point]:
    with metered("one object", progress, []):
        latents = side.make(work).latents
    return [
        Point(f"{n}³", n, partial(side.bundle.mesh, latents, n), replace(order, grid=n, evaluations=1))
        for n in _numbers(given, GRIDS)
    ]


def _weights(
    given: Sequence[str], side: BundleSide, work: Work, order: Order, folder: Path, progress: Progress
) -> list[Point]:
    """Bundles of the same recipe with random weights, built for this."""
    points = []
    for name in given or WEIGHTS:
        manifest, parameters = _build(side.bundle.manifest, f"random:{name}", folder / name, progress)
        own = BundleSide(Bundle(folder / name, manifest, order.stand_in), order.threads)
        label = f"{name}, {parameters / 1e6:.1f} M"
        points.append(
            Point(label, parameters, own.step(work.prompt), replace(order, folder=str(folder / name), evaluations=1))
        )
    return points


def _build(like: Manifest, weights: str, folder: Path, progress: Progress) -> tuple[Manifest, int]:
    """A bundle of the same recipe and target with other weights, however bad it is; and its denoiser's parameters."""
    from exporter.build.build import build
    from exporter.families.registry import load_model
    from exporter.recipe.recipe import Recipe
    from exporter.targets.target import Target

    data = like.recipe
    changed = {
        "model": data["model"] | {"weights": weights},
        "sampler": data["sampler"] | {"unroll": "step"},
        "validation": data["validation"] | {"tolerances": dict.fromkeys(get_args(Precision), LAX)},
    }
    recipe = Recipe.model_validate(data | changed)
    made = build(recipe, Target.model_validate(like.target), folder, progress=progress, need_gain=False)
    denoiser = load_model(recipe.model.family, weights).denoiser()
    return made.manifest, sum(parameter.numel() for parameter in denoiser.parameters())


def _numbers(given: Sequence[str], default: Sequence[int]) -> list[int]:
    for text in given:
        if not text.isdecimal() or not int(text):
            raise RecipeError(f"--points: found {text!r}; this sweep takes whole numbers above 0, as in 1,2,4")
    return sorted({int(text) for text in given}) or list(default)


_Points = Callable[[Sequence[str], BundleSide, Work, Order, Path, Progress], list[Point]]
SWEEPS: dict[str, tuple[_Points, str]] = {
    "prompts": (_prompts, "all prompts to their meshes, sampled together as `run` does it"),
    "steps": (_steps, "one prompt to latents with so many evaluations of the denoiser"),
    "grid": (_grids, "the mesh of one object on a grid of so many samples an edge"),
    "weights": (_weights, "one evaluation of the denoiser, against its parameters"),
}
