"""What this machine has of TensorRT: a GPU, a Python that knows TensorRT, and something that builds engines."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.errors import EnvironmentProblem
from exporter.runtime.sessions.cuda_runtime import CudaError, CudaRuntime

JETSON_TRTEXEC = "/usr/src/tensorrt/bin/trtexec"
SYSTEM_PYTHON = "/usr/bin/python3"
NO_PYTHON = (
    "no Python with TensorRT and numpy was found ({}). On a Jetson: `sudo apt install python3-libnvinfer "
    "python3-numpy`; elsewhere `pip install tensorrt numpy`; another Python is named by --python"
)


def gpu_is_one_of(compute_capabilities: Sequence[str]) -> bool:
    """Whether TensorRT and a GPU of one of these compute capabilities are here."""
    try:
        importlib.import_module("tensorrt")
        return CudaRuntime().compute_capability in compute_capabilities
    except (ImportError, CudaError):
        return False


def find_python(wanted: Path | None = None) -> str:
    """A Python that can run engines: the wanted one, this one, or the system's, which has TensorRT on a Jetson.

    Raises EnvironmentProblem that names the Pythons that were tried.
    """
    tried = [str(wanted)] if wanted else list(dict.fromkeys([sys.executable, SYSTEM_PYTHON]))
    for python in tried:
        if can_import(python, "tensorrt", "numpy"):
            return python
    raise EnvironmentProblem(NO_PYTHON.format(", ".join(tried)))


def can_import(python: str, *packages: str) -> bool:
    """Whether a Python has all of these packages."""
    try:
        done = subprocess.run([python, "-c", f"import {', '.join(packages)}"], capture_output=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_trtexec() -> str | None:
    """trtexec: $TRTEXEC, on the PATH, or where JetPack puts it."""
    found = os.environ.get("TRTEXEC") or shutil.which("trtexec") or JETSON_TRTEXEC
    return found if os.access(found, os.X_OK) else None
