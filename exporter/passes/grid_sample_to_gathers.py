"""GridSample -> four gathers and a weighted sum, for a runtime that lacks the operator, or gets it wrong.

Of the two-dimensional, linear one with zeros beyond the edge, whose picture has known sizes: what a triplane needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from exporter.graphs.rewrites import Rewritten

_ATTRIBUTES: dict[str, set[Any]] = {
    "mode": {b"bilinear", b"linear"},
    "padding_mode": {b"zeros"},
    "align_corners": {0, 1},
}
_DEFAULTS: dict[str, Any] = {"mode": b"linear", "padding_mode": b"zeros", "align_corners": 0}


def grid_sample_to_gathers(model: onnx.ModelProto) -> Rewritten:
    """Rewrite every GridSample of pictures [N, C, H, W] of known C, H and W; how many of how many. Others stay."""
    graph = model.graph
    known = onnx.shape_inference.infer_shapes(model).graph
    values = [*known.value_info, *known.input, *known.output]
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    found = there = 0
    for node in graph.node:
        shape = shapes.get(node.input[0], []) if node.op_type == "GridSample" else []
        there += node.op_type == "GridSample"
        settings = _DEFAULTS | {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if len(shape) != 4 or 0 in shape[1:] or any(settings[name] not in own for name, own in _ATTRIBUTES.items()):
            nodes.append(node)
            continue
        found += 1
        made = _Gathers(node)
        made.write(shape, bool(settings["align_corners"]))
        nodes += made.nodes
        graph.initializer.extend(made.constants)
    del graph.node[:]
    graph.node.extend(nodes)
    return Rewritten("GridSample", found, there)


class _Gathers:
    """The nodes that give what a GridSample gives."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.picture, self.grid = node.input
        self.output = node.output[0]
        self.name = node.name or self.output
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def write(self, shape: list[int], align_corners: bool) -> None:
        channels, height, width = shape[1:]
        flat = self.op("Reshape", self.op("Transpose", self.picture, perm=[0, 2, 3, 1]), self.ints(-1, channels))
        places = self.op("Shape", self.grid)
        rows, columns = (self.places(axis, side, align_corners) for axis, side in ((1, height), (0, width)))
        count = self.op("Slice", places, self.ints(0), self.ints(1))
        numbers = self.op("Range", self.int(0), self.op("Squeeze", count), self.int(1))
        first = self.op("Mul", numbers, self.int(height * width))
        first = self.op("Reshape", first, self.ints(-1, 1, 1))
        parts = []
        for row, in_row in rows:
            for column, in_column in columns:
                index = self.op("Add", self.op("Mul", row, self.int(width)), column)
                seen = self.op("Gather", flat, self.op("Add", index, first), axis=0)
                parts.append(self.op("Mul", seen, self.op("Mul", in_row, in_column)))
        total = parts[0]
        for part in parts[1:]:
            total = self.op("Add", total, part)
        self.nodes.append(
            helper.make_node("Transpose", [total], [self.output], f"{self.name}/Transpose_out", perm=[0, 3, 1, 2])
        )

    def places(self, axis: int, side: int, align_corners: bool) -> list[tuple[str, str]]:
        """Along one axis the two pixels beside each place [N, h, w, 1]: their indices, int64, and their shares, which
        are zero past the edge."""
        place = self.op("Slice", self.grid, self.ints(axis), self.ints(axis + 1), self.ints(-1))
        scaled = self.op("Mul", self.op("Add", place, self.float(1)), self.float((side - align_corners) / 2))
        place = scaled if align_corners else self.op("Sub", scaled, self.float(0.5))
        low = self.op("Floor", place)
        share = self.op("Sub", place, low)
        found = []
        for pixel, own in ((low, self.op("Sub", self.float(1), share)), (self.op("Add", low, self.float(1)), share)):
            inside = self.op("Clip", pixel, self.float(0), self.float(side - 1))
            kept = self.op("Cast", self.op("Equal", inside, pixel), to=onnx.TensorProto.FLOAT)
            # [N, h, w, 1] -> [N, h, w]: a gather adds the channels' axis.
            index = self.op("Squeeze", self.op("Cast", inside, to=onnx.TensorProto.INT64), self.ints(-1))
            found.append((index, self.op("Mul", own, kept)))
        return found

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; its output."""
        name = f"{self.name}/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}:0"], name, **attributes))
        return f"{name}:0"

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def int(self, value: int) -> str:
        return self.constant(np.array(value, np.int64))

    def float(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def constant(self, values: np.ndarray) -> str:
        name = f"{self.name}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name
