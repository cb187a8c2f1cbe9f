"""The table from its recipe: every row built, measured against the original, and kept for the next time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from exporter.build.build import build
from exporter.errors import T3Error
from exporter.families.registry import load_model
from exporter.families.stress import is_synthetic
from exporter.files.cache import Cache
from exporter.machine.meter import Progress, Within
from exporter.machine.processor import usable_processors
from exporter.manifest import bundle_digest
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import Target
from validate.ladder.context import QualityPlan
from validate.objects.memory import source_digest
from validate.objects.reference import load_reference
from validate.peers.peer import Peer, peers
from validate.prove import Options, plan_quality, reference_memory
from validate.table.bench import Bench
from validate.table.judge import TableJudge
from validate.table.peer_rows import peer_bundle, record_shards
from validate.table.rows import BASELINE, ORIGINAL, Missing, TableRow, baseline, choose_rows
from validate.table.table_result import Result, Table, load, save

FILE = "row.json"
# Peers take ONNX's own Attention (opset 23) for ONNX Runtime's operator of that name: theirs is made of primitive ones.
PEERS_OPSET = 20
OnRow = Callable[[Result, int, int], None]
"""Of a row, which it is and how many there are."""
SOURCES = [
    path for room in ("bench", "table", "ladder", "peers") for path in (Path(__file__).parents[1] / room).rglob("*.py")
]


@dataclass(frozen=True)
class TableSettings:
    """What a person may choose. `rows`: names of rows.yaml or paths of recipes, all rows where it is empty.

    `threads` 0: all processors. `prompts` None: the recipe's number. `evaluator` None: the shipped judge.
    """

    rows: tuple[str, ...] = ()
    peers: bool = False
    prompts: int | Path | None = None
    seeds: int = 2
    evaluator: Path | None = None
    workers: int = 0
    threads: int = 0


def make_table(
    path: Path,
    recipe: Recipe,
    target: Target,
    settings: TableSettings,
    folder: Path,
    *,
    cache: Cache,
    progress: Progress,
    on_row: OnRow,
) -> Table:
    """Build the bundle of every row into `folder` and measure it; a row that was measured before is read again.

    `recipe` was read from `path`: it gives model, sampler and prompts. `on_row` is told of each row as it is done. A
    row that cannot be built says why. Raises RecipeError, WeightsError, EvaluatorError or PromptsError for wrong input.
    """
    rows = choose_rows(recipe, path, target, settings.rows)
    model = load_model(recipe.model.family, recipe.weights, **recipe.model_settings)
    plan = plan_quality(recipe, model.pipeline(recipe), judged_by(settings))
    threads = settings.threads or usable_processors()
    torch.set_num_threads(threads)
    first = baseline(recipe, target)
    manifest = build(first.recipe, first.target, folder / BASELINE, cache=cache, progress=progress).manifest
    reference = load_reference(manifest, first.recipe)
    memory = reference_memory(manifest, first.recipe, reference)
    judge = TableJudge(plan, reference, memory, cache) if manifest.weights.trained else None
    bench = Bench(first.recipe, reference, Bundle.open(folder / BASELINE), judge, threads, progress)
    told = described_settings(bench, plan if judge else None)
    identity = {"original": memory.identity, "baseline": bundle_digest(manifest), "settings": told}
    identity |= {"prompts": digest_of(plan), "source": source_digest(*sorted(SOURCES))}
    rows_of = MeasuredRows(bench, folder, cache, progress, identity)
    source = manifest.weights.source
    table = Table(recipe.name, source, manifest.weights.trained, is_synthetic(source), target.name, told)
    others = peers() if settings.peers else []
    for result in rows_of.all(first, rows, others):
        table.rows.append(result)
        on_row(result, len(table.rows), 2 + len(rows) + len(others))
    return table


@dataclass
class MeasuredRows:
    """Builds, measures and keeps rows. `identity`: all that a row's figures depend on besides its own bundle."""

    bench: Bench
    folder: Path
    cache: Cache
    progress: Progress
    identity: dict[str, Any]

    def all(self, first: TableRow, rows: list[TableRow | Missing], others: list[Peer]) -> Iterator[Result]:
        original = Result(ORIGINAL, "PyTorch, the original", "original")
        yield self._kept(original, lambda: self.bench.original(original))
        yield self.measured(Result(first.name, first.title, "baseline"), Bundle.open(self.folder / first.name))
        for row in rows:
            yield self._row(row)
        if others:
            shards = record_shards(first.recipe, self.cache, self.progress)
            given = self.folder / f"{first.name}_opset{PEERS_OPSET}"
            target = first.target.model_copy(update={"opset": PEERS_OPSET})
            build(first.recipe, target, given, cache=self.cache, progress=self.progress)
            for peer in others:
                yield self._peer(peer, Bundle.open(given), shards)

    def _row(self, row: TableRow | Missing) -> Result:
        result = Result(row.name, row.title, "row")
        if isinstance(row, Missing):
            return replace(result, reason=row.reason)
        result = replace(result, note=row.note)
        out = self.folder / row.name
        try:
            shown = Within(self.progress, row.name)
            build(row.recipe, row.target, out, cache=self.cache, progress=shown, need_gain=False)
            return self.measured(result, Bundle.open(out))
        except T3Error as error:
            return replace(result, reason=str(error))

    def _peer(self, peer: Peer, fp32: Bundle, shards: Path) -> Result:
        result = Result(peer.name, peer.title, "peer")
        try:
            bundle, note = peer_bundle(peer, fp32, shards, self.folder / peer.name, self.cache)
            return self.measured(replace(result, note="; ".join(filter(None, (peer.note, note)))), bundle)
        # Whatever another quantizer's program brings about is that row's finding.
        except Exception as error:
            return replace(result, reason=f"{type(error).__name__}: {error}")

    def measured(self, result: Result, bundle: Bundle) -> Result:
        """The row of a bundle, measured now or before."""
        result = replace(result, bundle_digest=bundle_digest(bundle.manifest))
        return self._kept(result, lambda: self.bench.bundle(result, bundle))

    def _kept(self, result: Result, measure: Callable[[], Result]) -> Result:
        inputs = {**self.identity, "row": result.kind, "bundle": result.bundle_digest}
        entry, _ = self.cache.get(f"table row {result.name}", inputs, lambda folder: save(measure(), folder / FILE))
        return replace(load(entry.folder / FILE), title=result.title, note=result.note)


def judged_by(settings: TableSettings) -> Options:
    """The settings as the quality rung takes them."""
    return Options(
        prompts=settings.prompts, seeds=settings.seeds, evaluator=settings.evaluator, workers=settings.workers
    )


def described_settings(bench: Bench, plan: QualityPlan | None) -> dict[str, Any]:
    """What the figures were made with, for people and for whoever makes them again."""
    sampler = bench.recipe.sampler or next(iter(bench.recipe.samplers.values()), None)
    samplings = bench.baseline.bundle.manifest.samplings
    sampled = sampler.model_dump(include={"scheduler", "steps", "guidance_scale"}) if sampler else {}
    told: dict[str, Any] = sampled | {
        "evaluations": sum(sampling.evaluations for sampling in samplings.values()),
        "grid": bench.recipe.mesh.grid,
        "followed_prompts": len(bench.prompts),
        "threads": bench.threads,
    }
    if plan:
        evaluator = {"name": plan.evaluator.name, "digest": plan.evaluator.digest}
        told |= {"prompts": len(plan.prompts), "seeds": plan.seeds, "views": str(plan.views), "judge": evaluator}
    return told


def digest_of(plan: QualityPlan) -> str:
    """Of what is made for the judge and what it chooses from."""
    names = [*(prompt.identity for prompt in plan.prompts), *(caption.text for caption in plan.captions)]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
