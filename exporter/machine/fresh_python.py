"""One of our modules in a new process of this Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[__name__.count(".")]
"""Where this very t3export is imported from."""


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as `python -m` does, and imports nothing from where a person happens to be.

    `python -P -m` is not enough: Python 3.10 has no -P, and from a checkout it would run another t3export than this.
    """
    program = f"import sys; sys.path[:] = {_places()!r}; from runpy import run_module as run; run({module!r}, None, "
    return [sys.executable, "-I", "-c", f"{program}'__main__', True)", *arguments]


def _places() -> list[str]:
    """Where this process imports from, without the working directory, unless that is where we are ourselves."""
    here, root = os.path.realpath(os.curdir), os.path.realpath(ROOT)
    real = {place: os.path.realpath(place) for place in sys.path if Path(place).is_absolute()}
    places = [place for place in real if real[place] != here]
    return places if root in real.values() and root != here else [str(ROOT), *places]
