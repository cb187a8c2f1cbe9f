"""Our way to a mesh against the original's: the same weights and latents, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import RecipeError
from exporter.families.family import Model
from exporter.families.original import Original
from exporter.graphs.program_files import PROGRAM
from exporter.machine.timing import Speed, interleaved
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.pure_module import PureModule
from exporter.recipe.recipe import Recipe
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.run import Arrays, Draws, OnStep, Request, Run, make, requests_of, unit_noise
from exporter.runtime.sessions.onnxruntime import OnnxRuntimeSession
from exporter.runtime.surface.decoded import field_of, mesh_of
from exporter.runtime.surface.extract import FieldSamples, OnSampled, sample
from exporter.runtime.surface.lattice import over_corners
from exporter.trace.onnx import trace

OPSET = 23
SECONDS = 10.0


@dataclass(frozen=True)
class DecoderRow:
    """One grid. `field_seconds`: of ours, what the field's program took; `cells` that the surface crosses, and those
    `missed` against asking for every point (None: not looked at); `growth`: our time over that of the grid before.
    """

    grid: int
    speed: Speed
    samples: FieldSamples
    field_seconds: float
    cells: int | None
    missed: int | None
    growth: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self) | {"samples": self.samples.to_dict()}


class Decoder:
    """The stages of a model behind its samplers as ONNX programs: the part of a bundle that makes a mesh of latents.

    `field_seconds`: what fields took so far.
    """

    def __init__(self, model: Model, recipe: Recipe, folder: Path, threads: int) -> None:
        self.pipeline = model.pipeline(recipe)
        self.field_seconds = 0.0
        self._modules = model.modules(recipe)
        self._folder, self._options = folder, {"threads": threads}
        self._sessions: dict[str, OnnxRuntimeSession] = {}

    def read(self, requests: Sequence[Request]) -> Arrays:
        raise RecipeError("a decoder starts from latents")

    def sample(
        self,
        stage: str,
        arrays: Arrays,
        noise: np.ndarray,
        on_step: OnStep | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        raise RecipeError("a decoder starts from latents")

    def run_program(self, stage: str, arrays: Arrays) -> Arrays:
        """A stage's outputs; its program is exported when it is first run."""
        if stage not in self._sessions:
            self._sessions[stage] = self._export(stage)
        start = time.perf_counter()
        found = self._sessions[stage].run(arrays)
        if self.pipeline.stages[stage].kind == "field":
            self.field_seconds += time.perf_counter() - start
        return found

    def _export(self, stage: str) -> OnnxRuntimeSession:
        part, folder = self.pipeline.stages[stage], self._folder / stage
        folder.mkdir(parents=True)
        module = PureModule(stage, self._modules[stage](), tuple(part.inputs), tuple(part.outputs))
        trace(module, OPSET, folder)
        return OnnxRuntimeSession(folder / PROGRAM, self._options)


def any_latents(pipeline: Pipeline) -> Arrays:
    """Latents of one object between -1 and 1 for every sampler, by name."""
    specs = [pipeline.stages[stage].makes[0] for stage in pipeline.of_kind("sample")]
    return {spec.name: np.tanh(unit_noise([0], spec.shape[1:])) for spec in specs}


def given_to(original: Original, recipe: Recipe) -> Arrays:
    """What every way to the mesh of one object starts from, by name: any latents or, of a pipeline that samples
    nothing, what the original makes of the recipe's first golden."""
    pipeline = original.pipeline
    if pipeline.latents:
        return any_latents(pipeline)
    run = make(original, requests_of(pipeline, recipe.goldens.prompts[:1], recipe.folder), [0])
    return {name: run[name] for name in pipeline.decoded}


def compare(
    model: Model,
    recipe: Recipe,
    folder: Path,
    grids: Sequence[int],
    threads: int,
    check: bool = True,
    seconds: float = SECONDS,
    told: Callable[[str], None] = lambda what: None,
) -> Iterator[DecoderRow]:
    """A row a grid, as each is measured, for what `given_to` gives; programs are written into `folder`.

    `check`: also ask for every point, and count the cells that are missed. Raises RecipeError where there is no mesh.
    """
    original, decoder = model.original(recipe), Decoder(model, recipe, folder, threads)
    if decoder.pipeline.asset(MeshAsset) is None:
        raise RecipeError(f"{recipe.model.family} makes no mesh; it makes {', '.join(decoder.pipeline.assets)}")
    latents = given_to(original, recipe)
    before: float | None = None
    for grid in grids:
        told(f"{grid}³: in turns")
        seen: list[FieldSamples] = []
        ways = {
            "original": partial(_original_mesh, original, latents, grid),
            "ours": partial(_mesh, decoder, latents, grid, seen.append),
        }
        speed = Speed.of(*interleaved(ways, seconds).values())
        decoder.field_seconds = 0.0
        _mesh(decoder, latents, grid)
        spent = decoder.field_seconds
        if check:
            told(f"{grid}³: every point")
        cells, missed = count_missed(Run(decoder, latents), grid) if check else (None, None)
        yield DecoderRow(grid, speed, seen[0], spent, cells, missed, before and speed.seconds / before)
        before = speed.seconds


def count_missed(run: Run, grid: int) -> tuple[int, int]:
    """Cells that the surface crosses when every point is asked, and how many of them differ when only some are."""
    distance = field_of(run).distance
    exact, near = (sample(distance, grid, exact)[0] > 0 for exact in (True, False))
    crossed = over_corners(np.logical_or, exact) & ~over_corners(np.logical_and, exact)
    return int(crossed.sum()), int((crossed & over_corners(np.logical_or, exact != near)).sum())


def _mesh(decoder: Decoder, latents: Arrays, grid: int, on_sampled: OnSampled | None = None) -> Mesh:
    return mesh_of(Run(decoder, latents), grid, on_sampled=on_sampled)


def _original_mesh(original: Original, latents: Arrays, grid: int) -> Mesh:
    return original.mesh(Run(original, latents), grid)
