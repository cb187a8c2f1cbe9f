"""The files of a program: `program.onnx` and its large weights beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx.external_data_helper import uses_external_data

from exporter.graphs.bodies import all_graphs
from exporter.graphs.rewrites import Rewritten, note_rewrite
from exporter.graphs.sound import require_sound

PROGRAM = "program.onnx"
EXTERNAL_DATA = "program.onnx.data"
EXTERNAL_ABOVE_BYTES = 100 * 2**20
SMALL_TENSOR_BYTES = 1024


def copy_program(program: Path, folder: Path) -> Path:
    """A program with its external weights at another place; its path there.

    Copied, not linked: onnx reads no weights from a file with a second hard link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copy_weights(onnx.load(program, load_external_data=False), program.parent, folder)
    shutil.copyfile(program, folder / program.name)
    return folder / program.name


def rewrite_program(program: Path, rewrite: Callable[[onnx.ModelProto], Rewritten]) -> None:
    """Rewrite a program where it lies, its external weights left unread, and note what `rewrite` did.

    Raises ValidationFailed that names the rewrite where it breaks the ONNX standard.
    """
    model = onnx.load(program, load_external_data=False)
    rewritten = rewrite(model)
    note_rewrite(program.parent, rewrite.__name__, rewritten)
    if rewritten.done:
        onnx.save(model, program)
        require_sound(program, rewrite.__name__)


def copy_weights(model: onnx.ModelProto, source: Path, folder: Path) -> None:
    """The external weights of a program from one folder into another."""
    for name in external_files(model):
        shutil.copyfile(source / name, folder / name)


def external_files(model: onnx.ModelProto) -> list[str]:
    """Names of the files beside a program that hold its weights."""
    tensors = (tensor for graph in all_graphs(model.graph) for tensor in graph.initializer)
    entries = (entry for tensor in tensors if uses_external_data(tensor) for entry in tensor.external_data)
    return sorted({entry.value for entry in entries if entry.key == "location"})
