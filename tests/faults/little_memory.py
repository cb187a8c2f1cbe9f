"""Generation where memory ends at any point.

    python -m tests.faults.little_memory BUNDLE BYTES

is one attempt in a process of its own: one that was forked from a process with thread pools may die of those.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exporter.runtime.bundle import Bundle
from t3export.failures import failure_of
from tests.faults.children import HANG_SECONDS, limited_memory
from tests.faults.fault import Attempt, Fault
from tests.toy_bundle import write_toy_bundle

LARGEST = 2**29
GRID = 96


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    bundle = write_toy_bundle(folder / "bundle")
    for _ in range(count):
        size = int(2 ** rng.uniform(20, np.log2(LARGEST)))
        command = [sys.executable, "-m", __name__, str(bundle), str(size)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
        said = done.stderr.strip()
        lost = "" if done.returncode == 0 or (done.returncode == 1 and said) else f"{done.returncode}: {said[-300:]}"
        yield Attempt("refused" if done.returncode else "enough", f"{size} bytes: {lost}" if lost else "")


def main(bundle: Path, size: int) -> int:
    """Libraries are loaded first: where memory is short for them, no program can say so."""
    Bundle.open(bundle).generate("a red ball", grid=8)
    try:
        with limited_memory(size):
            Bundle.open(bundle).generate("a red ball", grid=GRID)
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        print(failure.message, file=sys.stderr)
        return 1
    return 0


FAULT = Fault(
    "little-memory",
    "makes a mesh with 1 MiB to 512 MiB more than the process has; it ends with the mesh or says that memory is short",
    200,
    attempts,
    sample=3,
)

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
