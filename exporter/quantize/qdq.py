"""Static INT8 as standard QuantizeLinear and DequantizeLinear nodes: the form that ONNX Runtime and TensorRT fuse.

Weights per output channel and around zero, activations per tensor (Jacob et al., arXiv 1712.05877); zero points are
explicit.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from exporter.quantize.grid import IntegerGrid


class QdqWriter:
    """Writes INT8 into a graph in place, with nothing but Q/DQ.

    A tensor that several layers read is quantized once and dequantized for each reader: ONNX Runtime fuses no
    DequantizeLinear with more than one reader.
    """

    takes_zero_points = False

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self._quantized: dict[str, tuple[gs.Variable, gs.Constant, gs.Constant]] = {}

    def linear(self, node: gs.Node, grid: IntegerGrid, integers: np.ndarray, scales: np.ndarray) -> None:
        """A product with a weight [..., K, N]: `integers` of its shape, `scales` [..., 1, N], its input in INT8.

        `grid`: the integers of its input. A DequantizeLinear has scales along one axis; where each of
        several matrices has its own, the weight gets the largest, and the product is multiplied by each one's share.
        """
        name = node.inputs[1].name
        several = integers.ndim > 2
        steps = np.asarray(scales.max()) if several else scales.reshape(-1)
        if several:
            self._scale_product(node, scales / steps)
        weight = gs.Constant(f"{name}_quantized", integers)
        scale = gs.Constant(f"{name}_scale", steps.astype(np.float32))
        zero = gs.Constant(f"{name}_zero_point", np.zeros(steps.shape, np.int8))
        self.activation(node, 0, grid)
        axis = {} if several else {"axis": 1}
        node.inputs[1] = self._dequantize(f"{node.name}/weight", [weight, scale, zero], axis)

    def activation(self, node: gs.Node, index: int, grid: IntegerGrid) -> None:
        """One input of a node in INT8."""
        quantized = self._quantize(node.inputs[index], grid)
        node.inputs[index] = self._dequantize(f"{node.name}/{index}", list(quantized), {})

    def _quantize(self, value: gs.Tensor, grid: IntegerGrid) -> tuple[gs.Variable, gs.Constant, gs.Constant]:
        """The tensor's integers with their scale and zero point."""
        if value.name not in self._quantized:
            zero_point = np.array(grid.zero, np.uint8) if grid.is_one_sided else np.zeros((), np.int8)
            integers = gs.Variable(f"{value.name}:integers", zero_point.dtype)
            scale = gs.Constant(f"{value.name}:scale", np.array(grid.step, np.float32))
            zero = gs.Constant(f"{value.name}:zero_point", zero_point)
            name = f"{value.name}/QuantizeLinear"
            self.graph.nodes.append(gs.Node("QuantizeLinear", name, inputs=[value, scale, zero], outputs=[integers]))
            self._quantized[value.name] = integers, scale, zero
        return self._quantized[value.name]

    def _dequantize(self, name: str, inputs: list[gs.Tensor], attributes: dict[str, int]) -> gs.Variable:
        real = gs.Variable(f"{name}:dequantized", np.dtype(np.float32))
        node = gs.Node("DequantizeLinear", f"{name}/DequantizeLinear", attributes, inputs=inputs, outputs=[real])
        self.graph.nodes.append(node)
        return real

    def _scale_product(self, node: gs.Node, factors: np.ndarray) -> None:
        """Multiply what a product gives by `factors` [..., 1, N]."""
        output, name = node.outputs[0], node.name.removesuffix("/MatMul")
        product = gs.Variable(f"{name}/product:0", np.dtype(np.float32))
        node.outputs = [product]
        shares = gs.Constant(f"{node.inputs[1].name}_shares", factors.astype(np.float32))
        self.graph.nodes.append(gs.Node("Mul", f"{name}/Mul", inputs=[product, shares], outputs=[output]))


class ZeroPointQdqWriter(QdqWriter):
    """The same for a runtime that fuses zero points too, as OpenVINO does: one-sided grids stay as they are."""

    takes_zero_points = True
