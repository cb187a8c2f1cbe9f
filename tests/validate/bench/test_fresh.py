"""Load time and peak memory in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from exporter.errors import EnvironmentProblem
from validate.bench.fresh import LAUNCHER, Order, fresh


@pytest.fixture
def order(toy_bundle):
    return Order(str(toy_bundle), "a red ball", grid=24, threads=1)


def test_a_bundle_is_measured_without_what_this_process_holds(order):
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    found = fresh(order)
    assert 20e6 < found.loaded_bytes <= found.peak_bytes < 300e6 < len(ballast)
    assert 0 < found.seconds < found.load_seconds < 60


def test_a_process_that_dies_says_why(order, tmp_path):
    with pytest.raises(EnvironmentProblem, match=r"ended with 1: .*not a bundle"):
        fresh(replace(order, folder=str(tmp_path)))


def test_several_objects_take_longer_and_none_takes_nothing(order):
    assert fresh(replace(order, objects=0)).seconds < 1e-3 < fresh(replace(order, objects=4)).seconds


def test_measuring_a_bundle_imports_no_torch(order):
    script = (
        "import json, sys; sys.modules['torch'] = None\n"
        "from validate.bench.fresh import Order, main\n"
        f"main(Order(**json.loads({json.dumps(asdict(order))!r})))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3], timeout=120)


def test_what_a_runtime_says_is_not_taken_for_the_line_that_it_is_open(order):
    """A process that talks at once, is open half a second later, and ends with its figures."""
    script = "import time; print('hello\\n', flush=True); time.sleep(0.5); print('open', flush=True); print('{}')"
    said = subprocess.check_output([sys.executable, "-c", LAUNCHER, sys.executable, "-c", script], text=True)
    assert float(said.split()[0]) > 0.5 and said.split()[1:] == ["{}"]
