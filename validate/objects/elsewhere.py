"""The objects of one side of a bundle, made by an engine's workers: chunk by chunk, each opening the side once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from exporter.errors import BundleError
from exporter.manifest import bundle_digest
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import Programs
from validate.judge.clip import Evaluator
from validate.judge.judge_errors import EvaluatorError
from validate.objects.engine import TaskEngine
from validate.objects.objects import (
    Chunk,
    MadeChunk,
    MeshRenderer,
    Objects,
    Progress,
    Views,
    chunks_of,
    gather,
    make_chunk,
)

SideName = Literal["reference", "bundle"]


@dataclass(frozen=True)
class SideFolder:
    """A bundle in a folder that every worker sees, or the PyTorch model that it was made from.

    `digest`: the bundle's; a scheduler's workers outlive a run, and another bundle may lie there in the next.
    """

    folder: Path
    digest: str
    name: SideName
    stand_in: str | None = None
    weights: str | None = None

    def open(self) -> Programs:
        """Raises BundleError, also for another bundle than was meant, and WeightsError."""
        bundle = Bundle.open(self.folder, stand_in=self.stand_in)
        if bundle_digest(bundle.manifest) != self.digest:
            raise BundleError(f"{self.folder}: another bundle lies there than when its objects were begun")
        if self.name == "bundle":
            return bundle
        from validate.objects.reference import as_compared, open_reference

        recipe = Recipe.model_validate(bundle.manifest.recipe)
        return open_reference(bundle, as_compared(recipe), self.weights)


@dataclass(frozen=True)
class JudgeFolder:
    """A CLIP in a folder that every worker sees, and the digest of its weights."""

    folder: Path
    digest: str

    def open(self) -> Evaluator:
        """Raises EvaluatorError, also for another judge than was meant."""
        evaluator = Evaluator.load(self.folder)
        if evaluator.digest != self.digest:
            raise EvaluatorError(f"{self.folder}: another judge lies there than when objects were begun")
        return evaluator


@dataclass(frozen=True)
class ChunkTask:
    """One chunk of a side's objects, before a judge."""

    side: SideFolder
    judge: JudgeFolder
    chunk: Chunk
    views: Views


@dataclass(frozen=True)
class Elsewhere:
    """Makes objects on an engine: those of `make_objects`, whatever the number of workers."""

    engine: TaskEngine
    sides: Mapping[SideName, SideFolder]
    judge: JudgeFolder

    def objects(
        self,
        side: SideName,
        prompts: Sequence[str],
        seeds: int,
        views: Views,
        batch: int,
        progress: Progress | None = None,
    ) -> Objects:
        """`seeds` objects of every prompt; `progress` counts objects."""
        chunks = chunks_of(prompts, seeds, batch)
        tasks = [ChunkTask(self.sides[side], self.judge, chunk, views) for chunk in chunks]
        made = []
        for part in self.engine.map(make, tasks):
            made.append(part)
            if progress:
                progress("objects", sum(len(one.empty) for one in made), len(prompts) * seeds)
        return gather(chunks, made)


def make(task: ChunkTask) -> MadeChunk:
    """What a worker does."""
    with MeshRenderer(task.views) as renderer:
        return make_chunk(_opened(task.side), task.chunk, _judging(task.judge), renderer)


# One side at a time: a worker's memory is that of one model, and its judge's.
@lru_cache(maxsize=1)
def _opened(side: SideFolder) -> Programs:
    return side.open()


@lru_cache(maxsize=1)
def _judging(judge: JudgeFolder) -> Evaluator:
    return judge.open()
