"""What a person has in the folder where a command is started is never imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.errors import EnvironmentProblem
from exporter.machine import fresh_python
from exporter.machine.fresh_python import module_command
from exporter.runtime.measure import measure
from tests.toy_bundle import write_toy_bundle
from tests.validate.proved_bundle import prove
from validate.bench.fresh import Order, fresh
from validate.peers import environment as environments

ROOT = Path(__file__).parents[3]


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The working directory has modules called as ours, Python's and pip; each leaves a mark."""
    here = tmp_path / "here"
    for name in ("exporter/__init__.py", "validate/__init__.py", "statistics.py", "subprocess.py", "pip/__init__.py"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(f"open({str(here / 'ran')!r}, 'w'); raise ImportError('the planted {name}')")
    monkeypatch.chdir(here)
    yield here
    assert not (here / "ran").exists()


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_measuring_a_bundle(planted, tmp_path):
    assert measure(prove(write_toy_bundle(tmp_path / "bundle")))["stages"]


def test_timing_a_bundle_in_a_fresh_process(planted, tmp_path):
    write_toy_bundle(tmp_path / "bundle")
    assert fresh(Order(str(tmp_path / "bundle"), "a red ball", 8, 1)).peak_bytes


def test_pip_of_a_peer(planted):
    with pytest.raises(EnvironmentProblem, match=r"nowhere/at/all: ERROR: Invalid requirement"):
        environments._pip(Path(sys.executable), ["--no-index", "nowhere/at/all"])


@pytest.mark.parametrize("arguments", [["targets"], ["-h"]])
def test_the_command_line_as_a_module(planted, arguments):
    """Of Python's own modules some are imported before ours: those of the package alone are looked at."""
    for name in ("subprocess.py", "statistics.py"):
        (planted / name).unlink()
    assert (
        run([sys.executable, "-m", "t3export", *arguments], env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode == 0
    )


POOL = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from t3export import cli

def work(arguments):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(int, "0").result()

if __name__ == "__main__":
    cli.run = work
    cli.main([])
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no safe path")
def test_a_process_of_a_pool(planted, tmp_path):
    (planted / "pickle.py").write_text((planted / "statistics.py").read_text())
    (tmp_path / "pool.py").write_text(POOL)
    done = run([sys.executable, tmp_path / "pool.py"], env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr


def test_from_a_checkout_it_is_that_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(fresh_python, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "relative", *sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("import sys; print(sys.argv[1:], sys.path[0], '' in sys.path, __name__)")
    done = run(module_command("own", "a", "b"))
    assert done.stdout == f"['a', 'b'] {tmp_path} False __main__\n", done.stderr
    monkeypatch.chdir("/")
    assert run(module_command("own", "a", "b")).stdout == done.stdout
