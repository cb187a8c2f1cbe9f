"""Other versions of Python than the one that runs, where this machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def find_python(version: str) -> str | None:
    """The interpreter of a version such as 3.10: on the path, or one that pyenv keeps."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    name = f"python{version}"
    for found in (shutil.which(name), *map(str, root.glob(f"versions/{version}.*/bin/{name}"))):
        if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            return found
    return None
