"""The objects of one side of a bundle, made by an engine's workers: chunk by chunk, each opening the side once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from exporter.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.runtime.generator import Generator
from validate.clip import Evaluator
from validate.engine.base import Engine
from validate.objects import Chunk, Made, MeshRenderer, Objects, Progress, Views, chunks_of, gather, make_chunk

SideName = Literal["reference", "bundle"]


@dataclass(frozen=True)
class Side:
    """A bundle in a folder that every worker sees, or the PyTorch model that it was made from."""

    folder: Path
    name: SideName
    stand_in: str | None = None
    weights: str | None = None

    def open(self) -> Generator:
        """Raises BundleError, WeightsError."""
        bundle = Bundle.open(self.folder, stand_in=self.stand_in)
        if self.name == "bundle":
            return bundle
        from validate.bundles import as_compared, load_reference

        recipe = Recipe.model_validate(bundle.manifest.recipe)
        return load_reference(bundle.manifest, as_compared(recipe), self.weights)


@dataclass(frozen=True)
class ChunkTask:
    """One chunk of a side's objects, before the judge in a folder."""

    side: Side
    evaluator: Path
    chunk: Chunk
    views: Views


@dataclass(frozen=True)
class Elsewhere:
    """Makes objects on an engine: those of `make_objects`, whatever the number of workers."""

    engine: Engine
    sides: Mapping[SideName, Side]
    evaluator: Path

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
        tasks = [ChunkTask(self.sides[side], self.evaluator, chunk, views) for chunk in chunks]
        made = []
        for part in self.engine.map(make, tasks):
            made.append(part)
            if progress:
                progress("objects", sum(len(one.empty) for one in made), len(prompts) * seeds)
        return gather(chunks, made)


def make(task: ChunkTask) -> Made:
    """What a worker does."""
    with MeshRenderer(task.views) as renderer:
        return make_chunk(_opened(task.side), task.chunk, _judge(task.evaluator), renderer)


# One side at a time: a worker's memory is that of one model, and its judge's.
@lru_cache(maxsize=1)
def _opened(side: Side) -> Generator:
    return side.open()


@lru_cache(maxsize=1)
def _judge(folder: Path) -> Evaluator:
    return Evaluator.load(folder)
