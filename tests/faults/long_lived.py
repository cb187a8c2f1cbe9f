"""One process that makes object after object, each of another size, on every runtime that a bundle of ours has here.

    python -m tests.faults.long_lived BUNDLE GENERATIONS

is such a process: it prints its memory after a tenth of them, and in the end.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

from exporter.manifest import list_files, read_manifest, write_manifest
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target
from tests.faults.children import HANG_SECONDS
from tests.faults.fault import Attempt, Fault
from tests.toy_bundle import write_toy_bundle

TARGETS = {"cpu": "onnxruntime", "cpu-openvino": "openvino"}
MOST_GROWTH = 1.05
FEWEST_FOR_GROWTH = 20
PROMPTS = ("a red ball", "a ball", "ball ball", "red ball ball")
GRID = 32
WIDTH = 256


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    here = [target for target, package in TARGETS.items() if find_spec(package)]
    for k, target in enumerate(here):
        share = count // len(here) + (k < count % len(here))
        bundle = bundle_for(target, folder / target)
        command = [sys.executable, "-m", __name__, str(bundle), str(share), str(rng.randrange(2**32))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20 * HANG_SECONDS, check=False)
        for _ in range(share - 1):
            yield Attempt(target)
        yield Attempt(target, _lost(done, share))


def _lost(done: subprocess.CompletedProcess[str], generations: int) -> str:
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr[-300:]}"
    early, late = map(int, done.stdout.split())
    grown = late / early
    if grown <= MOST_GROWTH or generations < FEWEST_FOR_GROWTH:
        return ""
    return f"{early / 1e6:.0f} MB became {late / 1e6:.0f} MB in {generations} generations"


def bundle_for(target: str, folder: Path) -> Path:
    """The toy's bundle as it is built for a target that runs ONNX as it is, its field with a network of real width."""
    write_toy_bundle(folder)
    _widen(folder / "field.onnx")
    manifest = read_manifest(folder)
    manifest = manifest.model_copy(update={"files": list_files(folder)})
    data = load_target(target).model_dump(mode="json")
    write_manifest(folder, manifest.model_copy(update={"target": data}))
    return folder


def _widen(field: Path) -> None:
    """Products of points with weights, whose sum is added to the density, which no mesh is made of."""
    model = onnx.load(field)
    graph, rng = model.graph, np.random.default_rng(0)
    nodes, value = [], "points"
    for i, (rows, columns) in enumerate([(3, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, 1)]):
        weights = rng.standard_normal((rows, columns)).astype(np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(weights, f"weights_{i}"))
        nodes.append(onnx.helper.make_node("MatMul", [value, f"weights_{i}"], [f"hidden_{i}"]))
        nodes.append(onnx.helper.make_node("Tanh", [f"hidden_{i}"], [value := f"active_{i}"]))
    (density,) = (node for node in graph.node if node.output[0] == "density")
    density.output[0] = "thin"
    graph.node.extend([*nodes, onnx.helper.make_node("Add", ["thin", value], ["density"])])
    onnx.save(model, field)


def main(folder: Path, generations: int, seed: int) -> None:
    """The toy's ball has the radius that its prompt and its noise say: the number of points is hardly ever the same."""
    bundle, rng = Bundle.open(folder), random.Random(seed)
    early = 0
    for done in range(generations):
        bundle.generate(
            rng.choice(PROMPTS),
            seed=rng.randrange(2**32),
            grid=rng.randint(8, GRID),
        )
        if done == max(generations // 10, min(generations, FEWEST_FOR_GROWTH) // 2):
            early = _memory()
    print(early or _memory(), _memory())


def _memory() -> int:
    """Resident bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


FAULT = Fault(
    "long-lived",
    "makes one object after another in one process, whose memory is the same within 5 % after a tenth of them and in "
    "the end",
    2000,
    attempts,
    sample=80,
)

if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
