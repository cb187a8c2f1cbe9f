"""What a command does before it opens a bundle: a word about what lies beside it, and the right Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from exporter.backends.tensorrt.device import WITHOUT_THIS_FOLDER
from exporter.backends.tensorrt.interpreter import python_with_tensorrt
from exporter.manifest import Manifest, read_manifest
from exporter.runtime.beside import beside_note
from t3export.output import print_note


def before_opening(folder: Path, stand_in: str | None = None) -> None:
    """Goes on in the Python that has TensorRT, where this one has not; tells what is no part of the bundle.

    Raises BundleError for what is no bundle, EnvironmentProblem where that Python has no t3export.
    """
    manifest = read_manifest(folder)
    if python := python_with_tensorrt(manifest, stand_in):
        _go_on_in(python)
    note_beside(folder, manifest)


def note_beside(folder: Path, manifest: Manifest) -> None:
    if note := beside_note(folder, manifest):
        print_note(note)


def _go_on_in(python: str) -> None:
    """This very command in another Python, in place of this process."""
    print_note(f"going on with {python}, which has TensorRT")
    sys.stdout.flush()
    sys.stderr.flush()
    program = f"{WITHOUT_THIS_FOLDER}; from t3export.cli import main; main()"
    os.execv(python, [python, "-c", program, *sys.argv[1:]])
