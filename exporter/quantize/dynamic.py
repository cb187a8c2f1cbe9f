"""Dynamic INT8: the range of each activation is measured when the program runs, so nothing is calibrated.

Activations become UINT8 and weights INT8, the pair that runs fastest on x86-64 and ARM64.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs


class DynamicWriter:
    """Writes products of integers into a graph in place; a tensor that several layers read is quantized once."""

    def __init__(self, graph: gs.Graph) -> None:
        self.graph = graph
        self._quantized: dict[str, list[gs.Variable]] = {}

    def linear(self, node: gs.Node, integers: np.ndarray, scales: np.ndarray) -> None:
        """A product with a weight [..., K, N]: `integers` of its shape and `scales` [..., 1, N]."""
        name, weight = node.name.removesuffix("/MatMul"), node.inputs[1].name
        value, scale, zero = self._quantize(node.inputs[0])
        output = node.outputs[0]
        product = gs.Variable(f"{name}/MatMulInteger:0", np.dtype(np.int32))
        real = gs.Variable(f"{name}/Cast:0", np.dtype(np.float32))
        factor = gs.Variable(f"{name}/scale:0", np.dtype(np.float32))
        weight_scale = scales if integers.ndim > 2 else scales.reshape(-1)
        node.op, node.name = "MatMulInteger", f"{name}/MatMulInteger"
        node.inputs = [value, gs.Constant(f"{weight}_quantized", integers), zero]
        node.inputs.append(gs.Constant(f"{weight}_zero_point", np.zeros((), np.int8)))
        node.outputs = [product]
        self.graph.nodes += [
            gs.Node("Cast", f"{name}/Cast", {"to": np.float32}, inputs=[product], outputs=[real]),
            gs.Node(
                "Mul",
                f"{name}/scale",
                inputs=[scale, gs.Constant(f"{weight}_scale", weight_scale.astype(np.float32))],
                outputs=[factor],
            ),
            gs.Node("Mul", f"{name}/Mul", inputs=[real, factor], outputs=[output]),
        ]

    def _quantize(self, value: gs.Tensor) -> list[gs.Variable]:
        if value.name not in self._quantized:
            types = {"uint8": np.uint8, "scale": np.float32, "zero_point": np.uint8}
            made = [gs.Variable(f"{value.name}:dynamic_{part}", np.dtype(kind)) for part, kind in types.items()]
            name = f"{value.name}/DynamicQuantizeLinear"
            self.graph.nodes.append(gs.Node("DynamicQuantizeLinear", name, inputs=[value], outputs=made))
            self._quantized[value.name] = made
        return self._quantized[value.name]
