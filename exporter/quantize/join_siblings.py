"""Products that share an input as one wider product: query, key and value of an attention are one matrix then.

One large matrix product keeps a processor busier than three, and ONNX Runtime fuses a dequantized input only where one
product reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import onnx_graphsurgeon as gs

from exporter.graphs.bias import bias_of, bias_values


def join_siblings(graph: gs.Graph, products: Sequence[gs.Node]) -> gs.Node:
    """Replace MatMuls of one input and constant weights [K, N_i] by one with [K, sum N_i] and a Split; the new MatMul.

    Their biases go along where each is added right after its product.
    """
    biases = [bias_of(node) for node in products]
    parts = [node.inputs[1].values for node in products]
    name = _joined_name([node.name.removesuffix("/MatMul") for node in products])
    weight = gs.Constant(f"{name}.weight", np.concatenate(parts, axis=1))
    product = gs.Variable(f"{name}/MatMul:0", products[0].outputs[0].dtype)
    joined = gs.Node("MatMul", f"{name}/MatMul", inputs=[products[0].inputs[0], weight], outputs=[product])
    made, whole, last = [joined], product, list(products)
    if all(bias is not None for bias in biases):
        last = [bias for bias in biases if bias is not None]
        bias = gs.Constant(f"{name}.bias", np.concatenate([bias_values(node).values for node in last]))
        whole = gs.Variable(f"{name}/Add:0", product.dtype)
        made.append(gs.Node("Add", f"{name}/Add", inputs=[product, bias], outputs=[whole]))
    outputs = [node.outputs[0] for node in last]
    for node in (*products, *last):
        node.outputs = []
    sizes = gs.Constant(f"{name}.sizes", np.array([part.shape[1] for part in parts], np.int64))
    made.append(gs.Node("Split", f"{name}/Split", {"axis": -1}, inputs=[whole, sizes], outputs=outputs))
    graph.nodes += made
    return joined


def _joined_name(names: Sequence[str]) -> str:
    """a.to_q, a.to_k, a.to_v -> a.to_q+to_k+to_v."""
    first, *rest = names
    return "+".join([first, *(re.split(r"[./]", name)[-1] for name in rest)])
