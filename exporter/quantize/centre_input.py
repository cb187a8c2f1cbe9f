"""The input of a product shifted to lie around zero, for backends that take no zero points.

x W is (x - c) W + c W, and c W goes into the bias: what Outlier Suppression+ (Wei et al., arXiv 2304.09145) does for
each channel, with one c for the whole tensor.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from exporter.graphs.bias import add_to_bias


def centre_input(graph: gs.Graph, product: gs.Node, centre: float, weight: np.ndarray) -> None:
    """Subtract `centre` from the input of a product, and add `centre` times the sums of `weight` [K, N] to its bias.

    Products of the same input share the Sub.
    """
    value = product.inputs[0]
    shared = [node for node in value.outputs if node.op == "Sub" and node.name.endswith("/centre/Sub")]
    if not shared:
        name = product.name.removesuffix("/MatMul")
        constant = gs.Constant(f"{value.name}:centre", np.array(centre, np.float32))
        centred = gs.Variable(f"{value.name}:centred", np.dtype(np.float32), value.shape)
        shared = [gs.Node("Sub", f"{name}/centre/Sub", inputs=[value, constant], outputs=[centred])]
        graph.nodes += shared
    product.inputs[0] = shared[0].outputs[0]
    add_to_bias(graph, product, (centre * weight.sum(axis=0)).astype(np.float32))
