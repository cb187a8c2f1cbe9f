"""Objects made from prompts and seeds, and what the judge sees of them."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.rasterize import render_mesh
from exporter.runtime.batch import made_objects
from exporter.runtime.run import Programs, Run, requests_of
from exporter.runtime.surface.decoded import field_of, mesh_of
from validate.judge.clip import Evaluator
from validate.judge.rprecision import object_embeddings
from validate.judge.under_specified import sharpness

Progress = Callable[[str, int, int], None]
SEED_STRIDE = 1_000_000


@dataclass(frozen=True)
class Views:
    """How an object is shown to the judge; the elevation is one that training never uses. Printed with every figure."""

    grid: int = 64
    azimuths_deg: tuple[float, ...] = (45.0, 135.0, 225.0, 315.0)
    elevation_deg: float = 45.0
    size: int = 96

    def __str__(self) -> str:
        angles = ", ".join(f"{azimuth:g}" for azimuth in self.azimuths_deg)
        return f"grid {self.grid}³, azimuths {angles}°, elevation {self.elevation_deg:g}°, {self.size} px"


@dataclass(frozen=True)
class Objects:
    """n objects: index of the prompt [n], noise seed [n], embedding [n, d], no surface [n], sharpness [n]."""

    prompt: NDArray[np.int64]
    seed: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    empty: NDArray[np.bool_]
    sharpness: NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """Objects that are made together: the indices of their prompts, the prompts, and the noise seeds."""

    prompts: tuple[int, ...]
    texts: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class MadeChunk:
    """A chunk's objects as the judge sees them: embeddings [n, d], no surface [n], sharpness [n]."""

    embeddings: NDArray[np.float32]
    empty: NDArray[np.bool_]
    sharpness: NDArray[np.float64]


def object_seed(prompt: int, repetition: int) -> int:
    """The noise seed of an object: every prompt has noise of its own, so that no single noise sways a whole score."""
    return repetition * SEED_STRIDE + prompt


def make_objects(
    programs: Programs,
    prompts: Sequence[str],
    evaluator: Evaluator,
    *,
    seeds: int = 1,
    views: Views | None = None,
    batch: int = 32,
    workers: int = 0,
    progress: Progress | None = None,
) -> Objects:
    """Make `seeds` objects of every prompt, all seeds of a prompt side by side, and show them to the judge.

    `workers` processes rasterise while this one samples and extracts; 0 does all of it here. The result does not
    depend on `workers`, and on `batch` only by floating-point noise. `progress(what, done, total)` counts objects.
    """
    views = views or Views()
    chunks = chunks_of(prompts, seeds, batch)
    made: list[MadeChunk] = []
    with MeshRenderer(views, workers) as renderer:
        for chunk in chunks:
            made.append(make_chunk(programs, chunk, evaluator, renderer))
            if progress:
                progress("objects", sum(len(one.empty) for one in made), len(prompts) * seeds)
    return gather(chunks, made)


def chunks_of(prompts: Sequence[str], seeds: int, batch: int) -> list[Chunk]:
    """The objects of all prompts, `batch` at a time."""
    every = [
        (index, prompts[index], object_seed(index, repetition))
        for index in range(len(prompts))
        for repetition in range(seeds)
    ]
    parts = [every[start : start + batch] for start in range(0, len(every), batch)]
    return [Chunk(*(tuple(column) for column in zip(*part, strict=True))) for part in parts]


def make_chunk(programs: Programs, chunk: Chunk, evaluator: Evaluator, renderer: MeshRenderer) -> MadeChunk:
    """The chunk's objects, made side by side and shown to the judge."""
    runs = sample_objects(programs, chunk.texts, chunk.seeds)
    slopes: list[float] = []
    pictures, empty = renderer.render(_with_sharpness(runs, renderer.views.grid, slopes))
    return MadeChunk(embed_views(evaluator, pictures), empty, np.array(slopes))


def gather(chunks: Sequence[Chunk], made: Sequence[MadeChunk]) -> Objects:
    """All chunks as one, in their order."""
    return Objects(
        prompt=np.concatenate([chunk.prompts for chunk in chunks]),
        seed=np.concatenate([chunk.seeds for chunk in chunks]),
        embeddings=np.concatenate([one.embeddings for one in made]),
        empty=np.concatenate([one.empty for one in made]),
        sharpness=np.concatenate([one.sharpness for one in made]),
    )


def sample_objects(programs: Programs, prompts: Sequence[str], seeds: Sequence[int]) -> Iterator[Run]:
    """A run of each of n prompts, from its own seed's portable noise; so many are sampled together as memory allows."""
    return made_objects(programs, requests_of(programs.pipeline, prompts), seeds)


def embed_views(evaluator: Evaluator, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures uint8 [n, views, s, s, 3] -> the mean over views [n, d] of L2-normalised embeddings."""
    count, views = pictures.shape[:2]
    return object_embeddings(
        evaluator.embed_images(pictures.reshape(-1, *pictures.shape[2:])).reshape(count, views, -1)
    )


def object_sharpness(run: Run, mesh: Mesh) -> float:
    """The field's mean slope at the mesh's vertices, for a run's only object."""
    return sharpness(field_of(run).distance, mesh.vertices)


class MeshRenderer:
    """Rasterises meshes in this process or, two ahead per worker, in processes of its own."""

    def __init__(self, views: Views, workers: int = 0) -> None:
        self.views = views
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> MeshRenderer:
        if self.workers:
            self._pool = ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("spawn"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def render(self, meshes: Iterable[Mesh]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pictures uint8 [n, views, size, size, 3] (white where the mesh is empty) and which meshes were empty [n]."""
        empty: list[bool] = []
        pictures = list(self._rendered(_noting_empty(meshes, empty)))
        return np.stack(pictures), np.array(empty)

    def _rendered(self, meshes: Iterable[Mesh]) -> Iterator[NDArray[np.uint8]]:
        if self._pool is None:
            yield from (_render(mesh, self.views) for mesh in meshes)
            return
        waiting: deque[Future[NDArray[np.uint8]]] = deque()
        for mesh in meshes:
            waiting.append(self._pool.submit(_render, mesh, self.views))
            if len(waiting) > 2 * self.workers:
                yield waiting.popleft().result()
        yield from (future.result() for future in waiting)


def _render(mesh: Mesh, views: Views) -> NDArray[np.uint8]:
    return render_mesh(mesh, views.azimuths_deg, views.elevation_deg, views.size)


def _noting_empty(meshes: Iterable[Mesh], empty: list[bool]) -> Iterator[Mesh]:
    for mesh in meshes:
        empty.append(mesh.is_empty)
        yield mesh


def _with_sharpness(runs: Iterable[Run], grid: int, slopes: list[float]) -> Iterator[Mesh]:
    for one in runs:
        mesh = mesh_of(one, grid)
        slopes.append(object_sharpness(one, mesh))
        yield mesh
