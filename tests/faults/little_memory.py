"""Generation where memory ends at any point."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from exporter.runtime.bundle import Bundle
from tests.faults.children import limited_memory, run_child
from tests.faults.fault import Attempt, Fault
from tests.toy_bundle import write_toy_bundle

LARGEST = 2**29
GRID = 96


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    bundle = write_toy_bundle(folder / "bundle")
    # Libraries are loaded before: where memory is short for them, no program can say so.
    Bundle.open(bundle).generate("a red ball", grid=8)
    for _ in range(count):
        size = int(2 ** rng.uniform(20, np.log2(LARGEST)))
        end = run_child(partial(_generate, bundle, size), folder / "words")
        yield Attempt("refused" if end.code else "enough", f"{size} bytes: {end.lost}" if end.lost else "")


def _generate(bundle: Path, size: int) -> None:
    with limited_memory(size):
        Bundle.open(bundle).generate("a red ball", grid=GRID)


FAULT = Fault(
    "little-memory",
    "makes a mesh with 1 MiB to 512 MiB more than the process has; it ends with the mesh or says that memory is short",
    200,
    attempts,
    sample=6,
)
