"""Recipes that a fuzzer finds by watching which lines of the reader they reach (Atheris, on LLVM's libFuzzer)."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from exporter.errors import EnvironmentProblem
from tests.faults.fault import Attempt, Fault

ROOT = Path(__file__).parent.parent.parent
SECONDS_PER_INPUT = 0.1


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    """libFuzzer owns its process and ends it: it runs in one of its own, which leaves its attempts in a file."""
    if importlib.util.find_spec("atheris") is None:
        raise EnvironmentProblem("this needs the package 'atheris', which exists for Linux on x86")
    found = folder / "attempts.json"
    command = [
        sys.executable,
        "-m",
        "tests.faults.fuzzer",
        str(folder),
        str(found),
        str(count),
        str(rng.randrange(2**31)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600 + SECONDS_PER_INPUT * count)
    if not found.exists():
        yield Attempt("fuzzer", f"ended with {done.returncode}: {done.stderr[-2000:]}")
        return
    for case, lost in json.loads(found.read_text(encoding="utf-8")):
        yield Attempt(case, lost)


FAULT = Fault(
    "guided-recipes",
    "reads an input that libFuzzer made, led by the lines it reached; it is read or refused with words, in less than "
    "5 s and 1 GiB",
    100_000,
    attempts,
    sample=300,
)
