"""Which packages of ONNX Runtime are installed: two of them exclude each other."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")


def installed_distributions() -> list[str]:
    """Which of the two exclusive ONNX Runtime packages are installed."""
    found = []
    for name in DISTRIBUTIONS:
        try:
            version(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found
