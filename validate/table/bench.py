"""One row measured: what the judge says of it, how near to the original it stays, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from exporter.families.original import Original
from exporter.machine.meter import Progress, metered
from exporter.machine.timing import Action, Speed, interleaved
from exporter.recipe.recipe import Recipe
from exporter.runtime.batch import batch_size
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Programs
from validate.bench.fresh import Order, fresh
from validate.bench.sides import BundleSide, Side, Work
from validate.bench.torch_sides import TorchSide
from validate.prove import make_context
from validate.table.fidelity import Watch
from validate.table.judge import OnObject, TableJudge
from validate.table.table_result import Rate, Result

WATCHED_PROMPTS = 8
STEP_SECONDS = 8.0
OBJECT_SECONDS = 20.0
ORIGINAL = "torch"


class Bench:
    """The original and the fp32 bundle that rows are measured against, all on the same prompts.

    `judge` is None where the weights are random: then nothing is said about quality.
    """

    def __init__(
        self,
        recipe: Recipe,
        reference: Bundle | Original,
        baseline: Bundle,
        judge: TableJudge | None,
        threads: int,
        progress: Progress,
    ) -> None:
        self.recipe = recipe
        self.reference = reference
        self.baseline = BundleSide(baseline, threads)
        self.judge = judge
        self.threads = threads
        self.progress = progress
        prompts = judge.given if judge else _goldens(recipe, reference)
        self.prompts = prompts[: min(WATCHED_PROMPTS, batch_size(reference.pipeline))]
        context = make_context(baseline, reference, recipe, None, None)
        self.watch = Watch(replace(context, prompts=self.prompts), recipe)

    def original(self, row: Result) -> Result:
        """The row of the PyTorch model, measured."""
        rates: list[Rate] = []
        if self.judge:
            with self._told(row, "objects") as on_object:
                rates = self.judge.original(on_object)
        with self._told(row, "time and memory"):
            step, end_to_end = self._speeds(side_of(self.reference, self.threads))
            peak = fresh(self._order(self.baseline.bundle, ORIGINAL)).peak_bytes
        return replace(_rated(row, rates), step=step, end_to_end=end_to_end, peak_bytes=peak)

    def bundle(self, row: Result, bundle: Bundle) -> Result:
        """The row of a bundle of the same recipe, measured."""
        side = BundleSide(bundle, self.threads)
        rates: list[Rate] = []
        if self.judge:
            with self._told(row, "objects") as on_object:
                rates = self.judge.rates(side.bundle, row.bundle_digest, on_object)
        with self._told(row, "fidelity"):
            fidelity = self.watch.fidelity(side.bundle)
        with self._told(row, "time and memory"):
            step, end_to_end = self._speeds(side)
            peak = fresh(self._order(bundle)).peak_bytes
        size = sum(stage.size for stage in bundle.manifest.stages.values())
        measured = replace(_rated(row, rates), fidelity=fidelity, stored_bytes=size)
        return replace(measured, step=step, end_to_end=end_to_end, peak_bytes=peak)

    def _speeds(self, side: Side) -> tuple[Speed | None, Speed]:
        """Against the fp32 bundle: one evaluation of each sampler, where there are any, and one whole object."""
        work = Work(self.prompts[0], self.recipe.mesh.grid)
        step = None
        if side.pipeline.of_kind("sample"):
            step = _speed(self.baseline.step(work.prompt), side.step(work.prompt), STEP_SECONDS)
        return step, _speed(lambda: self.baseline.make(work), lambda: side.make(work), OBJECT_SECONDS)

    def _order(self, bundle: Bundle, baseline: str = "") -> Order:
        sampler = self.recipe.sampler or next(iter(self.recipe.samplers.values()), None)
        order = Order(
            folder=str(bundle.folder),
            prompt=self.prompts[0],
            grid=self.recipe.mesh.grid,
            threads=self.threads,
            baseline=baseline,
            verify=False,
        )
        return replace(order, scheduler=sampler.scheduler, steps=sampler.steps) if sampler else order

    @contextmanager
    def _told(self, row: Result, what: str) -> Iterator[OnObject]:
        step = f"{row.name}: {what}"
        with metered(step, self.progress, []):
            yield lambda done, total: self.progress.advanced(step, done, total)


def _goldens(recipe: Recipe, programs: Programs) -> list[str]:
    """What the recipe's goldens are made of; pictures by a path that leads there from anywhere."""
    given = recipe.goldens.prompts
    return [str(recipe.folder / one) for one in given] if programs.pipeline.pictures else given


def side_of(programs: Bundle | Original, threads: int) -> Side:
    """Programs as something to time."""
    return BundleSide(programs, threads) if isinstance(programs, Bundle) else TorchSide(programs)


def _speed(baseline: Action, other: Action, seconds: float) -> Speed:
    taken = interleaved({"baseline": baseline, "other": other}, seconds)
    return Speed.of(taken["baseline"], taken["other"])


def _rated(row: Result, rates: list[Rate]) -> Result:
    small, large = [*rates, None, None][:2]
    return replace(row, rate=small, hard_rate=large)
