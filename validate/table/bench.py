"""One row measured: what the judge says of it, how near to the original it stays, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from exporter.meter import Progress, metered
from exporter.recipe import Recipe
from exporter.runtime.batch import batch_size
from exporter.runtime.bundle import Bundle
from exporter.runtime.generator import Generator
from validate.bundles import make_context
from validate.table.fidelity import Watch
from validate.table.judge import Judge, OnObject
from validate.table.peak import peak_bytes
from validate.table.result import Rate, Result
from validate.table.sides import one_object, one_step, with_threads
from validate.table.timing import Speed, interleaved

WATCHED_PROMPTS = 8
STEP_SECONDS = 8.0
OBJECT_SECONDS = 20.0


class Bench:
    """The original and the fp32 bundle that rows are measured against, all on the same prompts.

    `judge` is None where the weights are random: then nothing is said about quality.
    """

    def __init__(
        self,
        recipe: Recipe,
        reference: Generator,
        baseline: Bundle,
        judge: Judge | None,
        threads: int,
        progress: Progress,
    ) -> None:
        self.recipe = recipe
        self.reference = reference
        self.baseline = with_threads(baseline, threads)
        self.judge = judge
        self.threads = threads
        self.progress = progress
        prompts = judge.texts if judge else recipe.goldens.prompts
        self.prompts = prompts[: min(WATCHED_PROMPTS, batch_size(reference.latent_shape))]
        context = make_context(baseline, reference, recipe, None, None)
        self.watch = Watch(replace(context, prompts=self.prompts), recipe)

    def original(self, row: Result) -> Result:
        """The row of the PyTorch model, measured."""
        rates: list[Rate] = []
        if self.judge:
            with self._told(row, "objects") as on_object:
                rates = self.judge.original(on_object)
        with self._told(row, "time and memory"):
            step, end_to_end = self._speeds(self.reference)
            peak = peak_bytes(self.baseline.folder, self.prompts[0], self.threads, "reference")
        return replace(_rated(row, rates), step=step, end_to_end=end_to_end, peak_bytes=peak)

    def bundle(self, row: Result, bundle: Bundle) -> Result:
        """The row of a bundle of the same recipe, measured."""
        bundle = with_threads(bundle, self.threads)
        rates: list[Rate] = []
        if self.judge:
            with self._told(row, "objects") as on_object:
                rates = self.judge.rates(bundle, row.bundle_digest, on_object)
        with self._told(row, "fidelity"):
            fidelity = self.watch.fidelity(bundle)
        with self._told(row, "time and memory"):
            step, end_to_end = self._speeds(bundle)
            peak = peak_bytes(bundle.folder, self.prompts[0], self.threads)
        size = sum(stage.size for stage in bundle.manifest.stages.values())
        measured = replace(_rated(row, rates), fidelity=fidelity, stored_bytes=size)
        return replace(measured, step=step, end_to_end=end_to_end, peak_bytes=peak)

    def _speeds(self, side: Generator) -> tuple[Speed, Speed]:
        """Against the fp32 bundle: one step of the sampler, and one whole object."""
        prompt, mesh = self.prompts[0], self.recipe.mesh
        exact = mesh.extraction == "exact"
        step = interleaved(one_step(self.baseline, prompt), one_step(side, prompt), STEP_SECONDS)
        whole = interleaved(
            lambda: one_object(self.baseline, prompt, mesh.grid, exact),
            lambda: one_object(side, prompt, mesh.grid, exact),
            OBJECT_SECONDS,
        )
        return step, whole

    @contextmanager
    def _told(self, row: Result, what: str) -> Iterator[OnObject]:
        step = f"{row.name}: {what}"
        with metered(step, self.progress, []):
            yield lambda done, total: self.progress.advanced(step, done, total)


def _rated(row: Result, rates: list[Rate]) -> Result:
    small, large = [*rates, None, None][:2]
    return replace(row, rate=small, hard_rate=large)
