"""Packages that only some files need: each is imported when it is first used."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from exporter.errors import EnvironmentProblem

EXTRA_OF = {
    "fast_simplification": "mesh",
    "lib3mf": "mesh",
    "manifold3d": "mesh",
    "xatlas": "mesh",
    "pxr": "usd",
}


def optional(package: str, purpose: str) -> Any:
    """An imported package. Raises EnvironmentProblem that names its extra of t3export where it is not installed."""
    if not is_installed(package):
        raise EnvironmentProblem(f"{purpose} needs {package}: `pip install 't3export[{EXTRA_OF[package]}]'`")
    return importlib.import_module(package)


def is_installed(*packages: str) -> bool:
    """Whether all of these can be imported."""
    return all(find_spec(package) is not None for package in packages)
