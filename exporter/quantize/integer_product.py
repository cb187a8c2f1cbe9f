"""Static INT8 for ONNX Runtime: Q/DQ where it fuses that, and products of integers where it does not."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from exporter.quantize.grid import Grid
from exporter.quantize.qdq import QdqWriter


class IntegerQdqWriter(QdqWriter):
    """Q/DQ, but for the products that ONNX Runtime would leave in floating point."""

    takes_zero_points = True

    def linear(self, node: gs.Node, grid: Grid, integers: np.ndarray, scales: np.ndarray) -> None:
        """As QdqWriter's; an integer product whose result is scaled stands in for Q/DQ where that does not serve.

        That is where each of several matrices has scales of its own, and for an input of two dimensions, of which ONNX
        Runtime makes a Gemm before it looks for Q/DQ.
        """
        if integers.ndim == 2 and len(node.inputs[0].shape or ()) != 2:
            super().linear(node, grid, integers, scales)
            return
        name = node.inputs[1].name
        shape = scales.shape if integers.ndim > 2 else -1
        scale = gs.Constant(f"{name}_scale", (scales * grid.step).astype(np.float32).reshape(shape))
        self._integer_product(node, grid, gs.Constant(f"{name}_quantized", integers), scale)

    def _integer_product(self, node: gs.Node, grid: Grid, weight: gs.Constant, scale: gs.Constant) -> None:
        """UINT8 around 128 on the left: ONNX Runtime multiplies two signed tensors one number at a time."""
        output, value = node.outputs[0], node.inputs[0]
        name = node.name.removesuffix("/MatMul")
        step = gs.Constant(f"{name}/input_scale", np.array(grid.step, np.float32))
        middle = gs.Constant(f"{name}/input_zero_point", np.array(grid.zero if grid.is_one_sided else 128, np.uint8))
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
