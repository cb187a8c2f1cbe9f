"""A program as the rules look at it: nodes, who makes and who reads a tensor, types, shapes and stored values."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from exporter.graphs.bodies import all_graphs

Node = onnx.NodeProto
Shape = tuple[int | str, ...]

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
PRODUCTS = ("MatMul", "Gemm", "Conv")


class View:
    """A program read without its large weights. `compute_capability`: of the oldest GPU that it is meant for."""

    def __init__(self, program: Path, compute_capability: str) -> None:
        self.folder = program.parent
        self.model = onnx.load(program, load_external_data=False)
        self.compute_capability = tuple(int(part) for part in compute_capability.split("."))
        self.nodes = [node for graph in all_graphs(self.model.graph) for node in graph.node]
        self.stored = {t.name: t for graph in all_graphs(self.model.graph) for t in graph.initializer}
        self.inputs = {value.name for value in self.model.graph.input} - self.stored.keys()
        self.outputs = {value.name for value in self.model.graph.output}

    @cached_property
    def makers(self) -> dict[str, Node]:
        """The node that makes a tensor, by its name."""
        return {name: node for node in self.nodes for name in node.output}

    @cached_property
    def readers(self) -> dict[str, list[Node]]:
        """The nodes that read a tensor."""
        found: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                found[name].append(node)
        return found

    @cached_property
    def _known(self) -> dict[str, onnx.TypeProto.Tensor]:
        graph = onnx.shape_inference.infer_shapes(self.model).graph
        return {v.name: v.type.tensor_type for v in (*graph.value_info, *graph.input, *graph.output)}

    def type_of(self, name: str) -> int | None:
        """ONNX element type of a tensor, where it is known."""
        if name in self.stored:
            return self.stored[name].data_type
        return self._known[name].elem_type if name in self._known else None

    def shape_of(self, name: str) -> Shape | None:
        """Shape of a tensor, where it is known; a word or '' is a dynamic dimension."""
        if name in self.stored:
            return tuple(self.stored[name].dims)
        if name not in self._known or not self._known[name].HasField("shape"):
            return None
        dimensions = self._known[name].shape.dim
        return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in dimensions)

    def count(self, name: str) -> int:
        """Elements of a stored tensor; 0 for one that is computed."""
        return math.prod(self.stored[name].dims) if name in self.stored else 0

    def values(self, name: str) -> np.ndarray | None:
        """Values of a stored tensor, read from its file where they lie outside; None for one that is computed."""
        if name not in self.stored:
            return None
        tensor = self.stored[name]
        if uses_external_data(tensor):
            loaded = onnx.TensorProto()
            loaded.CopyFrom(tensor)
            load_external_data_for_tensor(loaded, str(self.folder))
            tensor = loaded
        return numpy_helper.to_array(tensor)

    def of(self, *operators: str) -> Iterator[Node]:
        """The nodes of these operators."""
        return (node for node in self.nodes if node.op_type in operators)

    def dequantized(self, node: Node) -> list[Node]:
        """The DequantizeLinear nodes that a node reads."""
        makers = (self.makers.get(name) for name in node.input)
        return [maker for maker in makers if maker is not None and maker.op_type == DEQUANTIZE]


def attribute(node: Node, name: str, default: int) -> int:
    """A whole number among a node's attributes."""
    return next((a.i for a in node.attribute if a.name == name), default)


def type_name(kind: int | None) -> str:
    """A type as ONNX calls it."""
    return "an unknown type" if kind is None else onnx.TensorProto.DataType.Name(kind)
