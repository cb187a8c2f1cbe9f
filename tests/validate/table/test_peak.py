"""Peak memory in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.errors import EnvironmentProblem
from validate.table.peak import peak_bytes


def test_a_bundle_is_measured_without_what_this_process_holds(toy_bundle):
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    peak = peak_bytes(toy_bundle, "a red ball", threads=1)
    assert 30e6 < peak < 300e6 < len(ballast)


def test_a_process_that_dies_says_why(tmp_path):
    with pytest.raises(EnvironmentProblem, match=r"ended with 1: .*not a bundle"):
        peak_bytes(tmp_path, "a red ball", threads=1)


def test_measuring_a_bundle_imports_no_torch(toy_bundle):
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from validate.table.peak import main\n"
        f"main(Path({str(toy_bundle)!r}), 'a red ball', 1, 'bundle')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3], timeout=120)
