"""The bias of a product with a weight: the Add of a constant vector right behind it."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs


def bias_of(product: gs.Node) -> gs.Node | None:
    """The Add of a constant vector that alone reads a product."""
    readers = product.outputs[0].outputs
    if len(readers) != 1 or readers[0].op != "Add":
        return None
    constants = [value for value in readers[0].inputs if isinstance(value, gs.Constant) and len(value.shape) == 1]
    return readers[0] if len(constants) == 1 else None


def bias_values(add: gs.Node) -> gs.Constant:
    """The constant of such an Add."""
    return next(value for value in add.inputs if isinstance(value, gs.Constant))


def add_to_bias(graph: gs.Graph, product: gs.Node, vector: np.ndarray) -> None:
    """Add `vector` [N] to what a product [..., N] gives: to its bias, or by an Add of its own where it has none."""
    name = product.name.removesuffix("/MatMul")
    add = bias_of(product)
    if add is not None:
        old = bias_values(add)
        new = gs.Constant(f"{old.name}:{name}", old.values + vector)
        add.inputs = [new if value is old else value for value in add.inputs]
        return
    output, before = product.outputs[0], gs.Variable(f"{name}/unbiased:0", product.outputs[0].dtype)
    product.outputs = [before]
    bias = gs.Constant(f"{name}.bias", vector)
    graph.nodes.append(gs.Node("Add", f"{name}/Add", inputs=[before, bias], outputs=[output]))
