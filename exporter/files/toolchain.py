"""What a bundle was made with: package versions, and a digest of this toolchain's own source."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import exporter

PACKAGES = (
    "t3export",
    "torch",
    "diffusers",
    "transformers",
    "tokenizers",
    "onnx",
    "onnxscript",
    "onnx-ir",
    "onnxruntime",
    "openvino",
    "executorch",
    "torchao",
    "numpy",
)
_NOT_IN_PROGRAMS = ("zoo", "release")


def versions() -> dict[str, str]:
    """Versions of the packages that decide what a build gives; those not installed are left out."""
    return {"python": platform.python_version(), **dict(_installed())}


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    found = []
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)


@cache
def source_digest() -> str:
    """sha256 over the source of the exporter, but for what no program depends on."""
    root = Path(exporter.__path__[0])
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] not in _NOT_IN_PROGRAMS:
            digest.update(f"{relative.as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()
