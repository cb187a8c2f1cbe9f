"""Half precision for the network of a program: the rendering that TensorRT takes, with or without Q/DQ.

What belongs to a module is computed in half precision; inputs, outputs and the arithmetic between the modules (the
scheduler's update, whose noise levels half precision is too coarse for) stay float32, and so do angles: NeRF's encoding
takes the sine of thousands of radians. Every tensor has one type, as
TensorRT's strongly typed networks want it; the scales of Q/DQ have the type of what they scale.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from exporter.errors import ValidationFailed
from exporter.graphs.rewrites import Rewritten

_SMALLEST_SCALE = float(np.finfo(np.float16).smallest_subnormal)
_LARGEST = float(np.finfo(np.float16).max)


def to_half(graph: gs.Graph, types: Mapping[str, int]) -> Rewritten:
    """Rewrite in place; how many nodes of the network. `types`: ONNX element type of every computed tensor, as
    `tensor_types` finds them. Loops and branches of a network's own stay in float32, with all that is in them.

    Raises ValidationFailed that names a weight beyond half precision's range.
    """
    halver = _Halver(graph, types)
    there = sum(_is_of_module(node) for node in graph.nodes)
    halver.run()
    return Rewritten("nodes of the network", len(halver.inner), there)


class _Halver:
    def __init__(self, graph: gs.Graph, types: Mapping[str, int]) -> None:
        self.graph = graph
        self.inner = {id(node) for node in graph.nodes if _belongs_to_module(node)} - _angles(graph)
        self.floats = {name for name, kind in types.items() if kind == onnx.TensorProto.FLOAT}
        self.halved: dict[str, gs.Tensor] = {}

    def run(self) -> None:
        nodes = list(self.graph.nodes)
        for node in nodes:
            if id(node) in self.inner:
                node.inputs = [self._half(value) for value in node.inputs]
                if node.op == "Cast" and node.attrs["to"] in (onnx.TensorProto.FLOAT, np.float32):
                    node.attrs["to"] = np.float16
        for node in nodes:
            if id(node) in self.inner:
                for value in node.outputs:
                    self._leave(value)

    def _half(self, value: gs.Tensor) -> gs.Tensor:
        """What a node inside reads in place of a float32 tensor."""
        if isinstance(value, gs.Constant):
            return self._half_constant(value) if value.dtype == np.float32 else value
        if value.name not in self.floats or any(id(node) in self.inner for node in value.inputs):
            return value
        if value.name not in self.halved:
            self.halved[value.name] = self._cast(value, f"{value.name}:half", np.float16)
        return self.halved[value.name]

    def _half_constant(self, value: gs.Constant) -> gs.Constant:
        if value.name not in self.halved:
            values = _saturated(value.values)
            largest = float(np.abs(values).max(initial=0.0))
            if largest > _LARGEST:
                raise ValidationFailed(
                    f"{self.graph.name}: '{value.name}' holds {largest:.4g}, half precision ends at {_LARGEST:.0f}; "
                    "keep this target in float32"
                )
            halves = values.astype(np.float16)
            if value.name.endswith("scale"):
                halves = np.asarray(np.maximum(halves, np.float16(_SMALLEST_SCALE)))
            self.halved[value.name] = gs.Constant(f"{value.name}:half", halves)
        return self.halved[value.name]

    def _leave(self, value: gs.Variable) -> None:
        """A half tensor is cast back for readers outside and for the program's outputs."""
        if value.name not in self.floats:
            return
        outside = [node for node in value.outputs if id(node) not in self.inner]
        is_output = any(value is output for output in self.graph.outputs)
        value.dtype = np.dtype(np.float16)
        if not outside and not is_output:
            return
        inside = [node for node in value.outputs if id(node) in self.inner]
        producer = value.inputs[0]
        half = gs.Variable(f"{value.name}:half", np.dtype(np.float16))
        producer.outputs[producer.outputs.index(value)] = half
        value.dtype = np.dtype(np.float32)
        for node in inside:
            node.inputs = [half if read is value else read for read in node.inputs]
        self.graph.nodes.append(gs.Node("Cast", f"{value.name}/Cast", {"to": np.float32}, [half], [value]))

    def _cast(self, value: gs.Tensor, name: str, kind: type) -> gs.Variable:
        made = gs.Variable(name, np.dtype(kind))
        self.graph.nodes.append(gs.Node("Cast", f"{name}/Cast", {"to": kind}, [value], [made]))
        return made


def _saturated(values: np.ndarray) -> np.ndarray:
    """Float32's own limits, which masks use for infinity, as half precision's."""
    limit = np.finfo(np.float32).max
    return np.where(np.abs(values) == limit, np.sign(values) * np.float32(_LARGEST), values)


def _is_of_module(node: gs.Node) -> bool:
    """Named stage/module/Operator; the stage's own arithmetic is stage/Operator."""
    return node.name.count("/") > 1


def _belongs_to_module(node: gs.Node) -> bool:
    return _is_of_module(node) and not any(isinstance(value, gs.Graph) for value in node.attrs.values())


def _angles(graph: gs.Graph) -> set[int]:
    """Sines and cosines, and what a module computes to get at their angles."""
    found: set[int] = set()
    waiting = [node for node in graph.nodes if node.op in ("Sin", "Cos")]
    while waiting:
        node = waiting.pop()
        if id(node) not in found and _belongs_to_module(node):
            found.add(id(node))
            waiting += [maker for value in node.inputs for maker in value.inputs]
    return found
