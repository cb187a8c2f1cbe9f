"""Packages that only some files need: each is imported when it is first used."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from exporter.errors import EnvironmentProblem

# What each is for, and the extra of t3export that brings it.
PACKAGES = {
    "fast_simplification": ("a mesh of fewer triangles", "mesh"),
    "ftfy": ("prompts cleaned as OpenAI's are (tokenizer.clean)", "clean"),
    "lib3mf": ("a .3mf file", "mesh"),
    "manifold3d": ("a closed mesh", "mesh"),
    "meshopt": ("a compressed .glb file (on Python 3.11 or newer)", "mesh"),
    "pxr": ("a .usda or .usdz file", "usd"),
    "python_multipart": ("a server", "serve"),
    "scipy": ("a texture", "mesh"),
    "starlette": ("a server", "serve"),
    "tokenizers": ("a tokenizer of another kind than CLIP's", "tokenizers"),
    "uvicorn": ("a server", "serve"),
    "xatlas": ("a texture", "mesh"),
}


def optional(package: str) -> Any:
    """A package, or a module of one, imported. Raises as `require`."""
    require(package.partition(".")[0])
    return importlib.import_module(package)


def require(package: str) -> None:
    """Raises EnvironmentProblem that names the extra of t3export where a package is not installed."""
    if not is_installed(package):
        purpose, extra = PACKAGES[package]
        raise EnvironmentProblem(f"{purpose} needs {package}: `pip install 't3export[{extra}]'`")


def is_installed(*packages: str) -> bool:
    """Whether all of these can be imported."""
    return all(find_spec(package) is not None for package in packages)
