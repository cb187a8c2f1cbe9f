"""The way back from an attention's output projection to its value projection."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from exporter.graphs.bias import bias_of

HEADS_FIRST = [0, 2, 1, 3]


def value_projection(output_projection: gs.Node) -> gs.Node | None:
    """The product that makes the values of the attention whose output, heads side by side, a product reads.

    None where something else lies between, or reads the same.
    """
    merged = _maker(output_projection, 0, "Reshape")
    heads = _maker(_maker(merged, 0, "Transpose"), 0, "Attention", "MatMul")
    values = _maker(heads, 2 if heads is not None and heads.op == "Attention" else 1, "Transpose")
    split = _maker(values, 0, "Reshape")
    projected = _maker(split, 0, "Add", "MatMul")
    if projected is None or not _swaps_heads(values, _maker(merged, 0, "Transpose")):
        return None
    product = projected if projected.op == "MatMul" else _product_of(projected)
    return product if product is not None and isinstance(product.inputs[1], gs.Constant) else None


def _maker(node: gs.Node | None, index: int, *operators: str) -> gs.Node | None:
    """The node that makes an input for this node alone, if it is of one of these operators."""
    if node is None or len(node.inputs) <= index:
        return None
    value = node.inputs[index]
    makers = value.inputs if len(value.outputs) == 1 else []
    return makers[0] if makers and makers[0].op in operators else None


def _swaps_heads(*transposes: gs.Node | None) -> bool:
    return all(node is not None and list(node.attrs.get("perm", [])) == HEADS_FIRST for node in transposes)


def _product_of(add: gs.Node) -> gs.Node | None:
    """The product that an Add gives its bias to."""
    products = [maker for value in add.inputs for maker in value.inputs if maker.op == "MatMul"]
    return products[0] if len(products) == 1 and bias_of(products[0]) is add else None
