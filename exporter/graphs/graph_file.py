"""Programs as graphs that can be rewritten, and back: large weights stay beside the program."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_graphsurgeon as gs
from onnx.external_data_helper import convert_model_to_external_data

from exporter.graphs.name_apart import name_apart
from exporter.graphs.program_files import EXTERNAL_ABOVE_BYTES, EXTERNAL_DATA, PROGRAM, SMALL_TENSOR_BYTES


def read_graph(program: Path) -> gs.Graph:
    """A program with its weights."""
    model = onnx.load(program)
    graph = gs.import_onnx(model)
    graph.ir_version = model.ir_version
    return graph


def save_graph(graph: gs.Graph, folder: Path) -> Path:
    """Write a graph as `program.onnx` into `folder`, its weights beside it where they are large; its path.

    Tensors that passes gave the same name get names of their own: in a file it is the name that connects.
    """
    name_apart(graph)
    graph.cleanup().toposort()
    model = gs.export_onnx(graph, do_type_check=False)
    model.ir_version = graph.ir_version
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > EXTERNAL_ABOVE_BYTES:
        convert_model_to_external_data(model, location=EXTERNAL_DATA, size_threshold=SMALL_TENSOR_BYTES)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / PROGRAM)
    return folder / PROGRAM
