"""Our way to a mesh against diffusers' `decode_to_mesh`: the same weights and latents, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from exporter.runtime.generator import Context, decode_context, decode_mesh, decoded_field

from exporter.families.shap_e.model import ShapE
from exporter.graphs.program_files import PROGRAM
from exporter.machine.timing import Speed, interleaved
from exporter.pipeline.pure_module import PureModule
from exporter.runtime.sessions.onnxruntime import OnnxRuntimeSession
from exporter.runtime.surface.extract import Sampling, sample
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
    sampling: Sampling
    field_seconds: float
    cells: int | None
    missed: int | None
    growth: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self) | {"sampling": self.sampling.to_dict()}


class Decoder:
    """Projector and field of a model as ONNX programs: the part of a bundle that makes a mesh of latents."""

    def __init__(self, model: ShapE, folder: Path, threads: int) -> None:
        options = {"threads": threads}
        self._projector = _program(model._projector_stage(), folder / "projector", options)
        self._field = _program(model._field_stage(), folder / "field", options)
        self.field_seconds = 0.0

    def project(self, latents: np.ndarray) -> Context:
        """Latents [B, N, D] to the projected weights."""
        return self._projector.run({"latents": latents})

    def field(self, points: np.ndarray, context: Context) -> Context:
        """As the generator's; the time it takes is added up."""
        start = time.perf_counter()
        found = self._field.run({**context, "points": points})
        self.field_seconds += time.perf_counter() - start
        return found


def compare(
    model: ShapE,
    latents: np.ndarray,
    folder: Path,
    grids: Sequence[int],
    threads: int,
    check: bool = True,
    seconds: float = SECONDS,
    told: Callable[[str], None] = lambda what: None,
) -> Iterator[DecoderRow]:
    """A row a grid, as each is measured, for latents [1, N, D]; the programs are written into `folder`.

    `check`: also ask for every point, and count the cells that are missed.
    """
    told("exporting projector and field")
    decoder = Decoder(model, folder, threads)
    renderer = model.renderer()
    given = torch.from_numpy(latents)
    before: float | None = None
    for grid in grids:
        told(f"{grid}³: in turns")
        seen: list[Sampling] = []
        ways = {
            "diffusers": partial(renderer.decode_to_mesh, given, "cpu", grid),
            "ours": partial(decode_mesh, decoder, latents, grid, on_sampled=seen.append),  # type: ignore[arg-type]
        }
        speed = Speed.of(*interleaved(ways, seconds).values())
        decoder.field_seconds = 0.0
        decode_mesh(decoder, latents, grid)  # type: ignore[arg-type]
        spent = decoder.field_seconds
        if check:
            told(f"{grid}³: every point")
        cells, missed = count_missed(decoder, latents, grid) if check else (None, None)
        yield DecoderRow(grid, speed, seen[0], spent, cells, missed, before and speed.seconds / before)
        before = speed.seconds


def count_missed(decoder: Any, latents: np.ndarray, grid: int) -> tuple[int, int]:
    """Cells that the surface crosses when every point is asked, and how many of them differ when only some are."""
    distance = decoded_field(decoder, decode_context(decoder, latents)).distance
    exact, near = (sample(distance, grid, exact)[0] > 0 for exact in (True, False))
    crossed = over_corners(np.logical_or, exact) & ~over_corners(np.logical_and, exact)
    return int(crossed.sum()), int((crossed & over_corners(np.logical_or, exact != near)).sum())


def _program(stage: PureModule, folder: Path, options: dict[str, Any]) -> OnnxRuntimeSession:
    folder.mkdir(parents=True)
    trace(stage, OPSET, folder)
    return OnnxRuntimeSession(folder / PROGRAM, options)
