"""A virtual environment of a peer's own, made once and kept beside the cache of build steps."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from exporter.errors import EnvironmentProblem

FOLDER = "environments"
_INSTALLED = "installed.json"
_INSTALL_SECONDS = 1800


def environment(install: Sequence[Sequence[str]], beside: Path) -> Path:
    """The Python of an environment with these packages, below `beside`. Made where it is not there yet.

    Raises EnvironmentProblem with pip's last words where a package cannot be installed.
    """
    content = json.dumps([sys.version_info[:2], [list(arguments) for arguments in install]])
    folder = beside / FOLDER / hashlib.sha256(content.encode()).hexdigest()[:16]
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (folder / _INSTALLED).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        for arguments in install:
            _pip(python, arguments)
        (folder / _INSTALLED).write_text(content, encoding="utf-8")
    return python


def last_words(output: str) -> str:
    """The line that says what went wrong, cut to what fits a table."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    return (errors or ["no message"])[0][:200]


def _pip(python: Path, arguments: Sequence[str]) -> None:
    command = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(f"pip install {' '.join(arguments)}: not done after {_INSTALL_SECONDS} s") from None
    if done.returncode:
        raise EnvironmentProblem(f"pip install {' '.join(arguments)}: {last_words(done.stderr)}")
