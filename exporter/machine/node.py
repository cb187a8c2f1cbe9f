"""Node.js and npm: this machine's own, or those of a package in this Python's environment."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from exporter.errors import EnvironmentProblem


def node_program(name: str) -> tuple[str, dict[str, str]]:
    """The path of `node` or `npm`, and the environment that it runs in. Raises EnvironmentProblem where it is not."""
    path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    found = shutil.which(name, path=path)
    if found is None:
        raise EnvironmentProblem(f"{name} is not on this machine: install Node.js 20 or newer")
    return found, {**os.environ, "PATH": path}
