"""A slow machine tries what comes first and tells what it did not come to."""

from __future__ import annotations

import subprocess
import sys

from tests.recipes.pairs import FIRST, ROOT


def test_nothing_is_begun_when_the_minutes_are_over() -> None:
    command = ("-m", "recipes", "--minutes", "0", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/recipes/test_pairs.py", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    told = done.stdout.partition("not tried: the minutes were over")[2].splitlines()
    assert done.returncode == 0 and " passed" not in done.stdout
    tried = [line for line in told if "test_pairs" in line]
    assert len(tried) > len(FIRST) and all(any(name in line for name in FIRST) for line in tried[: len(FIRST)])
