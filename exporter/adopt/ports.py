"""The ports of a foreign program: read, and given the names that the pipeline has for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from exporter.errors import BundleError
from exporter.graphs.bodies import all_graphs
from exporter.graphs.name_apart import free_name

Size = int | str | None
# ONNX Runtime's words for element types, as far as numpy has them.
_TYPES = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool"}


class Port:
    """An input or output as ONNX Runtime declares it: numpy dtype, and sizes of which an open one is a word or None."""

    def __init__(self, declared: ort.NodeArg) -> None:
        self.name: str = declared.name
        kind = declared.type.removeprefix("tensor(").removesuffix(")")
        self.dtype = _TYPES.get(kind, kind)
        self.shape: list[Size] = list(declared.shape)


def ports_of(program: Path) -> tuple[list[Port], list[Port]]:
    """Inputs and outputs of a program. Raises BundleError with ONNX Runtime's words for one that it does not open, and
    for a port that is no tensor."""
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(program), settings, ["CPUExecutionProvider"])
    # What ONNX Runtime raises has no class in common below this one.
    except Exception as error:
        raise BundleError(f"{program}: ONNX Runtime {ort.__version__} cannot open it: {error}") from None
    inputs, outputs = ([Port(one) for one in side] for side in (session.get_inputs(), session.get_outputs()))
    for port in (*inputs, *outputs):
        try:
            np.dtype(port.dtype)
        except TypeError:
            raise BundleError(f"{program}: '{port.name}' is a {port.dtype}, and only tensors are taken") from None
    return inputs, outputs


def rename_ports(model: onnx.ModelProto, ports: Mapping[str, str]) -> None:
    """Give inputs and outputs other names, `ports` from old to new, in place. A tensor inside the program that bears a
    new name already gets one of its own."""
    taken = set(_names(model.graph))
    names = dict(ports)
    for new in ports.values():
        if new in taken and new not in ports:
            names[new] = free_name(f"{new}_inside", taken | set(names.values()))
    for graph in all_graphs(model.graph):
        tensors = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
        for tensor in (*tensors, *(sparse.values for sparse in graph.sparse_initializer)):
            tensor.name = names.get(tensor.name, tensor.name)
        for note in graph.quantization_annotation:
            note.tensor_name = names.get(note.tensor_name, note.tensor_name)
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    for one in all_graphs(graph):
        yield from (tensor.name for tensor in (*one.input, *one.output, *one.initializer))
        yield from (name for node in one.node for name in (*node.input, *node.output))
