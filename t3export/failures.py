"""What went wrong, told to a person: message and exit code of every error that is not a bug of ours."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import click

from exporter.errors import EnvironmentProblem, T3Error

INTERRUPTED = 130
WRONG_INPUT = 2
KEPT = {
    "build": "steps that were finished",
    "bisect": "float programs that were exported again",
    "ci": "bundles and steps that were finished",
    "pull": "files that were downloaded",
    "sensitivity": "layers that were measured",
    "table": "rows that were measured, with their bundles,",
    "tune": "layers that were measured, steps of builds, and the reference's objects once all were made,",
    "validate": "the reference's objects, once all were made,",
}
"""What outlives a verb that is interrupted."""
BUILD_PACKAGES = {
    "accelerate", "diffusers", "executorch", "huggingface_hub", "jinja2", "onnx", "onnx_graphsurgeon", "onnx_ir",
    "onnxscript", "polygraphy", "safetensors", "scipy", "skimage", "torch", "transformers",
}  # fmt: skip

RELEASE_PACKAGES = {"cyclonedx", "in_toto_attestation", "license_expression", "packageurl"}


@dataclass(frozen=True)
class Failure:
    """The class of the error, what to print, and the exit code."""

    kind: str
    message: str
    exit_code: int


def failure_of(error: BaseException) -> Failure | None:
    """The failure that an exception stands for, or None for a bug, which deserves its traceback."""
    kind = type(error).__name__
    if isinstance(error, T3Error):
        return Failure(kind, str(error), error.exit_code)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        message = "interrupted; nothing half-written is left, and what stood before is as it was"
        return Failure("Interrupted", message, INTERRUPTED)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").split(".")[0]
        for packages, extras in ((BUILD_PACKAGES, "cpu,build"), (RELEASE_PACKAGES, "release")):
            if package in packages:
                message = f"this needs the package '{error.name}': `pip install 't3export[{extras}]'`"
                return Failure(kind, message, EnvironmentProblem.exit_code)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}the disk is full; nothing half-written was left behind"
        return Failure(kind, message, EnvironmentProblem.exit_code)
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return Failure(kind, f"{error.filename}: no permission to write or read it", EnvironmentProblem.exit_code)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return Failure(kind, f"{str(error.filename)[:60]}…: no file can have so long a name", WRONG_INPUT)
    # Python before 3.13 has no OSError for it.
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
        return Failure(kind, f"{error}: a link that leads to itself leads nowhere", WRONG_INPUT)
    if isinstance(error, OSError) and error.filename:
        return Failure(kind, f"{error.filename}: {error.strerror}", EnvironmentProblem.exit_code)
    if isinstance(error, MemoryError):
        message = "not enough memory; close other programs, or use a smaller --grid or model"
        return Failure(kind, message, EnvironmentProblem.exit_code)
    return None


def resumption(arguments: Sequence[str]) -> str:
    """What an interrupted command line has to say about going on; the secrets of its URLs are left out."""
    command = shlex.join(["t3export", *map(_without_secrets, arguments)])
    kept = KEPT.get(next(iter(arguments), ""))
    if kept and "--no-cache" not in arguments:
        return f"{kept} are kept; to go on:  {command}"
    return f"to start again:  {command}"


def _without_secrets(argument: str) -> str:
    if "://" not in argument:
        return argument
    from exporter.release.stores import shown

    seen = shown(argument)
    return seen if seen == argument else f"{seen} (and what is secret in it)"
