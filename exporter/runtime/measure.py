"""What a bundle's programs cost on this machine, measured in a fresh process that holds nothing else.

    python -m exporter.runtime.measure BUNDLE

prints it as JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import EnvironmentProblem
from exporter.machine.fresh_python import module_command
from exporter.machine.meter import Silent, StepRecord, metered
from exporter.manifest import StagePart
from exporter.pipeline.sampling import STEP
from exporter.pipeline.tensor import BATCH
from exporter.runtime.bundle import Bundle
from exporter.runtime.guidance import guided_evaluations
from exporter.runtime.run import Arrays
from exporter.runtime.sessions.session import Session

SECONDS = 0.1
FEWEST_RUNS = 3
MOST_RUNS = 50
LONG_RUN_SECONDS = 2.0


def measure(folder: Path) -> dict[str, Any]:
    """{"peak_bytes": with all programs open, "stages": {stage: {"milliseconds", "least", "most", "runs"}}}.

    A stage is timed on the recorded inputs of one object, after one run that does not count; where that takes more than
    two seconds it is the one that counts. Raises EnvironmentProblem with the process's last words where it dies.
    """
    done = subprocess.run(module_command(__name__, str(folder)), capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentProblem(f"{folder}: the process that times it ended with {done.returncode}: {words}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(folder: Path) -> None:
    """Print what is measured."""
    records: list[StepRecord] = []
    with metered("all programs", Silent(), records):
        bundle = Bundle.open(folder, verify=False)
        stages = {
            name: _timed(bundle.session(name), one_object(_typical(bundle, name), bundle.manifest.stages[name]))
            for name, goldens in bundle.manifest.goldens.items()
            if goldens
        }
    print(json.dumps({"peak_bytes": records[0].peak_bytes, "stages": stages}))


def _typical(bundle: Bundle, stage: str) -> Path:
    """The first golden of a stage, of a sampler's step the first with guidance."""
    goldens, sampling = bundle.manifest.goldens[stage], bundle.manifest.stages[stage].sampling
    if sampling and sampling.unroll == "step":
        guided = guided_evaluations(bundle.folder, sampling)
        for name in goldens:
            with np.load(bundle.folder / name, allow_pickle=False) as file:
                if guided[int(file[STEP])]:
                    return bundle.folder / name
    return bundle.folder / goldens[0]


def one_object(golden: Path, stage: StagePart) -> Arrays:
    """The inputs of the first object that was recorded."""
    with np.load(golden, allow_pickle=False) as file:
        recorded = [(spec.name, spec.shape[:1], file[spec.name]) for spec in stage.inputs]
    return {name: array[:1] if first == (BATCH,) else array for name, first, array in recorded}


def _timed(session: Session, arrays: Arrays) -> dict[str, float]:
    first = _seconds(session, arrays)
    times = [first] if first > LONG_RUN_SECONDS else list(_repeated(session, arrays))
    return {
        "milliseconds": round(1000 * statistics.median(times), 3),
        "least": round(1000 * min(times), 3),
        "most": round(1000 * max(times), 3),
        "runs": len(times),
    }


def _repeated(session: Session, arrays: Arrays) -> Iterator[float]:
    end = time.perf_counter() + SECONDS
    for done in range(MOST_RUNS):
        if done >= FEWEST_RUNS and time.perf_counter() >= end:
            return
        yield _seconds(session, arrays)


def _seconds(session: Session, arrays: Arrays) -> float:
    start = time.perf_counter()
    session.run(arrays)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]))
