"""The files of a program: `program.onnx` and its large weights beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx.external_data_helper import uses_external_data


def link_program(program: Path, folder: Path) -> Path:
    """A program with its external weights at another place, linked where that can be; its path there."""
    folder.mkdir(parents=True, exist_ok=True)
    link_weights(onnx.load(program, load_external_data=False), program.parent, folder)
    _link_or_copy(program, folder / program.name)
    return folder / program.name


def link_weights(model: onnx.ModelProto, source: Path, folder: Path) -> None:
    """The external weights of a program from one folder into another, without a second copy where that can be.

    ONNX Runtime reads no linked weights of a body inside a graph.
    """
    bodies = [graph for graph in all_graphs(model.graph) if graph is not model.graph]
    in_body = any(uses_external_data(tensor) for graph in bodies for tensor in graph.initializer)
    for name in external_files(model):
        (shutil.copyfile if in_body else _link_or_copy)(source / name, folder / name)


def external_files(model: onnx.ModelProto) -> list[str]:
    """Names of the files beside a program that hold its weights."""
    tensors = (tensor for graph in all_graphs(model.graph) for tensor in graph.initializer)
    entries = (entry for tensor in tensors if uses_external_data(tensor) for entry in tensor.external_data)
    return sorted({entry.value for entry in entries if entry.key == "location"})


def _link_or_copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the bodies inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_graphs(attribute.g)
