"""A side in a process of its own: how long until it can take a prompt, and the memory of what it makes then.

    python -m validate.bench.fresh ORDER

where ORDER is an `Order` as JSON; it prints the line "open" when the side is open, and one of figures at the end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from exporter.errors import EnvironmentProblem
from exporter.machine.fresh_python import module_command
from exporter.machine.meter import Silent, StepRecord, metered
from exporter.runtime.bundle import Bundle
from validate.bench.sides import BundleSide, Side, Work

# Some systems let a child inherit its parent's peak: the measured process starts from a small one.
LAUNCHER = """
import subprocess, sys, time
begin = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
for line in child.stdout:
    if line.strip() == "open":
        break
print(time.perf_counter() - begin)
print(child.stdout.read())
sys.exit(child.wait())
"""


@dataclass(frozen=True)
class Order:
    """What the process makes: one object, several, or nothing; then it opens all that an object would need.

    Otherwise a bundle opens its programs as it comes to need them, as `t3export run` does.

    `grid`: of a mesh, the pipeline's own where it is None. `baseline` names a form of the PyTorch model that the bundle
    was made from, of an adopted one its float programs, '' the bundle itself. `evaluations`: how many of a sampler's
    are run, all where it is None. `verify`: compare the files with their digests first.
    """

    folder: str
    prompt: str
    grid: int | None
    threads: int
    baseline: str = ""
    scheduler: str = "heun"
    steps: int = 64
    stand_in: str | None = None
    memory_limit_mb: int | None = None
    objects: int = 1
    evaluations: int | None = None
    verify: bool = True


@dataclass(frozen=True)
class Fresh:
    """`load_seconds`: from the start of the process until what is opened at first is open. `seconds`: of what is made
    then. Bytes are the largest resident memory of the process: until then, and over all that it does."""

    load_seconds: float
    seconds: float
    loaded_bytes: int
    peak_bytes: int


def fresh(order: Order) -> Fresh:
    """Carry an order out. Raises EnvironmentProblem with the last words of a process that dies, as it does where
    memory does not suffice."""
    command = [sys.executable, "-I", "-c", LAUNCHER, *module_command(__name__, json.dumps(asdict(order)))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentProblem(
            f"{order.folder}: the process that measures memory ended with {done.returncode}: {words}"
        )
    load_seconds, *_, figures = done.stdout.strip().splitlines()
    return Fresh(load_seconds=float(load_seconds), **json.loads(figures))


def main(order: Order) -> None:
    """Open, say so, make, and print the figures."""
    opening: list[StepRecord] = []
    making: list[StepRecord] = []
    with metered("open", Silent(), opening):
        side = _side(order)
        if not order.objects:
            side.open()
    print("open", flush=True)
    with metered("make", Silent(), making):
        if order.objects:
            _make(side, order)
    loaded, peak = opening[0].peak_bytes, making[0].peak_bytes
    figures = {"seconds": making[0].seconds, "loaded_bytes": loaded, "peak_bytes": max(loaded, peak)}
    print(json.dumps(figures))


def _make(side: Side, order: Order) -> None:
    if order.evaluations is None:
        side.make_many([order.prompt] * order.objects, order.grid)
    else:
        side.make(Work(order.prompt, order.grid), order.evaluations)


def _side(order: Order) -> Side:
    bundle = Bundle.open(Path(order.folder), order.verify, order.stand_in, order.memory_limit_mb)
    if not order.baseline:
        return BundleSide(bundle, order.threads)
    if bundle.manifest.is_adopted:
        from exporter.adopt.float_bundle import float_bundle

        return BundleSide(float_bundle(bundle.folder, bundle.manifest), order.threads)
    from validate.bench.torch_sides import torch_side

    return torch_side(order.baseline, bundle.manifest, order.scheduler, order.steps, order.threads)


if __name__ == "__main__":
    main(Order(**json.loads(sys.argv[1])))
