"""One bundle from several threads at once, on every runtime that it has here, with a memory limit and without."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from exporter.manifest import read_manifest, write_manifest
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.bundle import Bundle
from tests.faults.fault import Attempt, Fault
from tests.faults.long_lived import TARGETS, bundle_for

THREADS = 8
PROMPTS = ("a red ball", "a green ball", "a blue ball", "ball red ball")
GRID = 16
MEGABYTES = 40


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    here = [target for target, package in TARGETS.items() if find_spec(package)]
    bundles = {target: bundle_for(target, folder / target) for target in here}
    alone = {target: [_made(Bundle.open(path), k) for k in range(THREADS)] for target, path in bundles.items()}
    for path in bundles.values():
        _tell_large(path)
    for number in range(count):
        target, limit = here[number % len(here)], rng.choice([None, MEGABYTES, 2 * MEGABYTES])
        bundle = Bundle.open(bundles[target], memory_limit_mb=limit)
        case = f"{target}, {'a memory limit' if limit else 'no limit'}"
        yield Attempt(case, _lost(bundle, alone[target]))


def _lost(bundle: Bundle, alone: list[Mesh]) -> str:
    with ThreadPoolExecutor(THREADS) as threads:
        futures = [threads.submit(_made, bundle, k) for k in range(THREADS)]
        for k, future in enumerate(futures):
            if error := future.exception():
                return f"{type(error).__name__}: {error}"
            if not _alike(future.result(), alone[k]):
                return f"object {k} is another than alone"
    return ""


def _made(bundle: Bundle, k: int) -> Mesh:
    return bundle.generate(PROMPTS[k % len(PROMPTS)], seed=k, grid=GRID)


def _alike(one: Mesh, other: Mesh) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("vertices", "faces", "colors"))


def _tell_large(folder: Path) -> None:
    """The toy's programs told as large enough for a limit to close them."""
    manifest = read_manifest(folder)
    stages = {n: stage.model_copy(update={"size": MEGABYTES * 10**6}) for n, stage in manifest.stages.items()}
    write_manifest(folder, manifest.model_copy(update={"stages": stages}))


FAULT = Fault(
    "many-threads",
    f"makes {THREADS} objects with one bundle in as many threads at once; each is what it is alone",
    400,
    attempts,
    sample=4,
)
