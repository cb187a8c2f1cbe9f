"""Peak memory of making one object, measured in a fresh process.

    python -m validate.table.peak BUNDLE PROMPT THREADS bundle|reference

prints the bytes; `reference` is the PyTorch model that the bundle was made from.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

from exporter.bundle import Manifest
from exporter.errors import EnvironmentProblem
from exporter.meter import Silent, StepRecord, metered
from exporter.runtime.bundle import Bundle
from exporter.runtime.generator import Generator
from validate.table.sides import one_object, with_threads

# Some systems let a child inherit its parent's peak: the measured process starts from a small one.
LAUNCHER = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


def peak_bytes(folder: Path, prompt: str, threads: int, side: Literal["bundle", "reference"] = "bundle") -> int:
    """Peak resident bytes of a process that opens one side of a bundle and makes the object of one prompt.

    Raises EnvironmentProblem with its last words when it dies, as it does where memory does not suffice.
    """
    measured = [sys.executable, "-m", __name__, str(folder), prompt, str(threads), side]
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *measured], capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentProblem(f"{folder}: the process that measures memory ended with {done.returncode}: {words}")
    return int(done.stdout.split()[-1])


def main(folder: Path, prompt: str, threads: int, side: str) -> None:
    """Make the object and print the peak."""
    records: list[StepRecord] = []
    with metered("one object", Silent(), records):
        opened = with_threads(Bundle.open(folder, verify=False), threads)
        mesh = opened.manifest.mesh
        generator = opened if side == "bundle" else _reference(opened.manifest, threads)
        one_object(generator, prompt, mesh.grid, mesh.extraction == "exact")
    print(records[0].peak_bytes)


def _reference(manifest: Manifest, threads: int) -> Generator:
    import torch

    from exporter.recipe import Recipe
    from validate.bundles import load_reference

    torch.set_num_threads(threads)
    return load_reference(manifest, Recipe.model_validate(manifest.recipe))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
