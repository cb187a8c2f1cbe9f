"""Static INT8 for ONNX Runtime: Q/DQ where it fuses that, and products of integers where it does not."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from exporter.quantize.grid import IntegerGrid
from exporter.quantize.qdq import QdqWriter

UNSIGNED_MIDDLE = 128


class IntegerQdqWriter(QdqWriter):
    """Q/DQ, but for the products that ONNX Runtime would leave in floating point."""

    takes_zero_points = True

    def linear(self, node: gs.Node, grid: IntegerGrid, integers: np.ndarray, scales: np.ndarray) -> None:
        """As QdqWriter's; an integer product whose result is scaled stands in for Q/DQ where that does not serve.

        That is where each of several matrices has scales of its own, and for an input of two dimensions, of which ONNX
        Runtime makes a Gemm before it looks for Q/DQ.
        """
        if integers.ndim == 2 and len(node.inputs[0].shape or ()) != 2:
            super().linear(node, grid, integers, scales)
            return
        name = node.inputs[1].name
        several = integers.ndim > 2
        scale = (scales * grid.step).astype(np.float32).reshape(scales.shape if several else -1)
        zero = np.uint8(grid.zero if grid.is_one_sided else UNSIGNED_MIDDLE)
        shift = zero.astype(np.int32) * integers.sum(axis=-2, dtype=np.int32, keepdims=several)
        self._integer_product(
            node,
            (np.float32(grid.step), zero),
            gs.Constant(f"{name}_quantized", integers),
            (gs.Constant(f"{name}_shift", shift), gs.Constant(f"{name}_scale", scale)),
        )

    def _integer_product(
        self,
        node: gs.Node,
        grid: tuple[np.float32, np.uint8],
        weight: gs.Constant,
        to_real: tuple[gs.Constant, gs.Constant],
    ) -> None:
        """UINT8 on the left: ONNX Runtime multiplies two signed tensors one number at a time.

        The input's zero point is taken off the sum, not off the input: one row times a matrix, as in the projector,
        has a fast kernel for a zero point of 0 alone.
        """
        output, value = node.outputs[0], node.inputs[0]
        name = node.name.removesuffix("/MatMul")
        step, middle = (
            gs.Constant(f"{name}/input_{what}", np.array(number))
            for what, number in zip(("scale", "zero_point"), grid, strict=True)
        )
        shift, scale = to_real
        integers = gs.Variable(f"{name}/QuantizeLinear:0", np.dtype(np.uint8))
        product = gs.Variable(f"{name}/MatMulInteger:0", np.dtype(np.int32))
        shifted = gs.Variable(f"{name}/Sub:0", np.dtype(np.int32))
        real = gs.Variable(f"{name}/Cast:0", np.dtype(np.float32))
        node.op, node.name = "MatMulInteger", f"{name}/MatMulInteger"
        node.inputs, node.outputs = [integers, weight], [product]
        self.graph.nodes += [
            gs.Node("QuantizeLinear", f"{name}/QuantizeLinear", inputs=[value, step, middle], outputs=[integers]),
            gs.Node("Sub", f"{name}/Sub", inputs=[product, shift], outputs=[shifted]),
            gs.Node("Cast", f"{name}/Cast", {"to": np.float32}, inputs=[shifted], outputs=[real]),
            gs.Node("Mul", f"{name}/Mul", inputs=[real, scale], outputs=[output]),
        ]
