"""Which Python runs a bundle's engines: on a Jetson TensorRT's package belongs to the system's Python alone."""

from __future__ import annotations

import shlex
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from json import loads
from pathlib import Path

import exporter
from exporter.backends.tensorrt import device
from exporter.errors import EnvironmentProblem
from exporter.manifest import Manifest

COMMANDS = "t3export.commands.run"


def python_with_tensorrt(manifest: Manifest, stand_in: str | None) -> str | None:
    """Another Python that has to run this bundle; None where this one will do, or no other has TensorRT either.

    Raises EnvironmentProblem with the one command that mends it, where the other Python has TensorRT and no t3export.
    """
    engines = manifest.engines
    if stand_in or engines is None or engines.state != "built" or find_spec("tensorrt"):
        return None
    if device.can_import(device.SYSTEM_PYTHON, "tensorrt", COMMANDS):
        return device.SYSTEM_PYTHON
    if device.can_import(device.SYSTEM_PYTHON, "tensorrt"):
        raise EnvironmentProblem(
            f"TensorRT's package belongs to {device.SYSTEM_PYTHON}, and that Python has no t3export. This installs it: "
            f"`{device.SYSTEM_PYTHON} -m pip install {shlex.quote(own_source())}`; then the same command again"
        )
    return None


def own_source() -> str:
    """What pip installs this t3export from: its checkout, the file or address it came from, else its name."""
    checkout = Path(exporter.__path__[0]).parent
    if (checkout / "pyproject.toml").is_file():
        return str(checkout)
    try:
        here = distribution("t3export")
    except PackageNotFoundError:
        return "t3export"
    origin = here.read_text("direct_url.json")
    return str(loads(origin)["url"]) if origin else f"t3export=={here.version}"
