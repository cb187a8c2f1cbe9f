"""What this machine is and has."""

from __future__ import annotations

import platform
import re
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil

from exporter.machine.describe import describe

NAME = re.compile(r"^[A-Za-z0-9._-]+")
EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
SHOWN_EXTRAS = ("runtime", "cpu", "openvino", "gpu", "mesh", "usd", "build", "release", "serve", "cluster")


def describe_machine() -> dict[str, str]:
    """System, processor, memory, free disk and Python, for people."""
    memory = psutil.virtual_memory()
    return {
        **describe(),
        "memory": f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} free",
        "disk": f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB free here",
        "python": platform.python_version(),
    }


def extras() -> dict[str, dict[str, str | None]]:
    """Per extra of t3export, its packages and their installed versions; None for a missing one."""
    found: dict[str, dict[str, str | None]] = {name: {} for name in SHOWN_EXTRAS}
    for requirement in _requirements():
        extra = EXTRA.search(requirement)
        group = extra[1] if extra else "runtime"
        name = NAME.match(requirement)
        if group in found and name:
            found[group][name[0]] = _version(name[0])
    return found


def own_version() -> str:
    """The version of t3export, or a word for a source tree that is not installed."""
    return _version("t3export") or "not installed"


def _requirements() -> list[str]:
    try:
        return requires("t3export") or []
    except PackageNotFoundError:
        return []


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
