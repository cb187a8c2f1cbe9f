"""What a backend is: the programs that its targets run, how one is opened on this machine, and what a bundle gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from exporter.files.cache import Entry
from exporter.files.transform import Transform
from exporter.manifest import EnginesPart
from exporter.pipeline.tensor import TensorSpec
from exporter.quantize.quantizer import LayerReport
from exporter.recipe.policy import Precision
from exporter.runtime.sessions.session import Session
from exporter.targets.target import Target
from exporter.workshop.measured import Measured
from exporter.workshop.workshop import Workshop


class Program(Protocol):
    """One program of a bundle: a chain of transformations, and what is told of the folder that the last one wrote."""

    @property
    def name(self) -> str:
        """The stage, which is the program's folder in the bundle too."""

    @property
    def main(self) -> str:
        """Name of the file that is opened."""

    def transforms(self, target: Target) -> Iterator[Transform]:
        """The steps that make it, each taking the folder of the one before."""

    def files(self, folder: Path) -> list[str]:
        """Names of all files that go into the bundle."""

    def layers(self, folder: Path) -> list[LayerReport]:
        """The layers that were quantized."""

    def precision(self, folder: Path) -> Precision:
        """The lowest precision of any layer."""

    def contents(self, folder: Path) -> dict[str, Any]:
        """What it is made of, counted by precision, as plain data for perf.yaml."""

    def inputs(self, folder: Path) -> list[TensorSpec]: ...
    def outputs(self, folder: Path) -> list[TensorSpec]: ...


@dataclass(frozen=True)
class MadeProgram:
    """A program with what its last step wrote; `original`: what its first step did, before anything was quantized."""

    program: Program
    entry: Entry
    original: Entry

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def main(self) -> str:
        """The program's path inside the bundle."""
        return f"{self.name}/{self.program.main}"


@dataclass(frozen=True)
class Addition:
    """What a backend adds to a bundle beside its programs: engines, built or to be built, and what is to be told.

    `measured`: figures of engines that were built here.
    """

    engines: EnginesPart | None = None
    warnings: list[str] = field(default_factory=list)
    measured: Measured | None = None


class Backend(Protocol):
    """A module of this package, one for each backend of the targets."""

    def make_programs(self, workshop: Workshop) -> list[Program]:
        """The programs of a bundle in the order in which they run."""

    def open_program(self, program: Path, target: Target) -> Session:
        """A program on this machine, to be checked against its goldens: in the target's runtime or its stand-in."""

    def complete(self, workshop: Workshop, folder: Path, made: list[MadeProgram]) -> Addition:
        """Add what the target needs beside the programs, which lie in the bundle's folder already."""
