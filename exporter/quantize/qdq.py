"""Static INT8 as standard QuantizeLinear and DequantizeLinear nodes: the form that ONNX Runtime and TensorRT fuse.

Symmetric with explicit zero points: weights per output channel, activations per tensor (Jacob et al., arXiv
1712.05877).
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

LEVELS = 127


class QdqWriter:
    """Writes INT8 into a graph in place.

    A tensor that several layers read is quantized once and dequantized for each reader: ONNX Runtime fuses no
    DequantizeLinear with more than one reader.
    """

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self._quantized: dict[str, tuple[gs.Variable, gs.Constant, gs.Constant]] = {}

    def linear(self, node: gs.Node, threshold: float, integers: np.ndarray, scales: np.ndarray) -> None:
        """A product with a weight [..., K, N]: `integers` of its shape, `scales` [..., 1, N], its input in INT8.

        `threshold`: the input's magnitude that becomes 127. An integer product whose result is scaled stands in for
        Q/DQ where that does not serve: it has no scales for the channels of each of several matrices, and of an input
        of two dimensions ONNX Runtime makes a Gemm before it looks for Q/DQ, which then stays in floating point.
        """
        name = node.inputs[1].name
        weight = gs.Constant(f"{name}_quantized", integers)
        if integers.ndim > 2 or len(node.inputs[0].shape or ()) == 2:
            shape = scales.shape if integers.ndim > 2 else -1
            scale = gs.Constant(f"{name}_scale", (scales * (threshold / LEVELS)).astype(np.float32).reshape(shape))
            self._integer_product(node, threshold, weight, scale)
            return
        self.activation(node, 0, threshold)
        scale = gs.Constant(f"{name}_scale", scales.reshape(-1).astype(np.float32))
        zero = gs.Constant(f"{name}_zero_point", np.zeros(len(scale.values), np.int8))
        node.inputs[1] = self._dequantize(f"{node.name}/weight", [weight, scale, zero], {"axis": 1})

    def activation(self, node: gs.Node, index: int, threshold: float) -> None:
        """One input of a node in INT8."""
        quantized = self._quantize(node.inputs[index], threshold)
        node.inputs[index] = self._dequantize(f"{node.name}/{index}", list(quantized), {})

    def _quantize(self, value: gs.Tensor, threshold: float) -> tuple[gs.Variable, gs.Constant, gs.Constant]:
        """The tensor's integers with their scale and zero point."""
        if value.name not in self._quantized:
            integers = gs.Variable(f"{value.name}:int8", np.dtype(np.int8))
            scale = gs.Constant(f"{value.name}:scale", np.array(threshold / LEVELS, np.float32))
            zero = gs.Constant(f"{value.name}:zero_point", np.zeros((), np.int8))
            name = f"{value.name}/QuantizeLinear"
            self.graph.nodes.append(gs.Node("QuantizeLinear", name, inputs=[value, scale, zero], outputs=[integers]))
            self._quantized[value.name] = integers, scale, zero
        return self._quantized[value.name]

    def _dequantize(self, name: str, inputs: list[gs.Tensor], attributes: dict[str, int]) -> gs.Variable:
        real = gs.Variable(f"{name}:dequantized", np.dtype(np.float32))
        node = gs.Node("DequantizeLinear", f"{name}/DequantizeLinear", attributes, inputs=inputs, outputs=[real])
        self.graph.nodes.append(node)
        return real

    def _integer_product(self, node: gs.Node, threshold: float, weight: gs.Constant, scale: gs.Constant) -> None:
        """UINT8 around 128 on the left: ONNX Runtime multiplies two signed tensors one number at a time."""
        output, value = node.outputs[0], node.inputs[0]
        name = node.name.removesuffix("/MatMul")
        step = gs.Constant(f"{name}/input_scale", np.array(threshold / LEVELS, np.float32))
        middle = gs.Constant(f"{name}/input_zero_point", np.array(128, np.uint8))
        zero = gs.Constant(f"{name}/weight_zero_point", np.zeros((), np.int8))
        integers = gs.Variable(f"{name}/QuantizeLinear:0", np.dtype(np.uint8))
        product = gs.Variable(f"{name}/MatMulInteger:0", np.dtype(np.int32))
        real = gs.Variable(f"{name}/Cast:0", np.dtype(np.float32))
        node.op, node.name = "MatMulInteger", f"{name}/MatMulInteger"
        node.inputs, node.outputs = [integers, weight, middle, zero], [product]
        self.graph.nodes += [
            gs.Node("QuantizeLinear", f"{name}/QuantizeLinear", inputs=[value, step, middle], outputs=[integers]),
            gs.Node("Cast", f"{name}/Cast", {"to": np.float32}, inputs=[product], outputs=[real]),
            gs.Node("Mul", f"{name}/Mul", inputs=[real, scale], outputs=[output]),
        ]
