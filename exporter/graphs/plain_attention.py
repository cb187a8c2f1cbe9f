"""Attention of queries, keys and values, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import helper

# What `Attention` does besides.
_MUST_BE_OFF = ("is_causal", "softcap", "qk_matmul_output_mode")
_SCALING = ("Mul", "Div", "Cast")


def is_plain_attention(node: onnx.NodeProto) -> bool:
    """Whether a node is an `Attention` without a mask, a cache and a second output."""
    if node.op_type != "Attention" or len(node.output) != 1 or sum(map(bool, node.input)) != 3:
        return False
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return not any(values.get(name) for name in _MUST_BE_OFF)


def count_written_out(nodes: Iterable[onnx.NodeProto]) -> int:
    """Attentions without a mask that are written as a product, a softmax and a product."""
    nodes = list(nodes)
    maker = {name: node for node in nodes for name in node.output}
    reader = {name: node for node in nodes for name in node.input}

    def leads_to_product(node: onnx.NodeProto | None, forward: bool) -> bool:
        while node is not None and node.op_type in _SCALING:
            node = reader.get(node.output[0]) if forward else _first(node, maker)
        return node is not None and node.op_type == "MatMul"

    return sum(
        leads_to_product(maker.get(node.input[0]), False) and leads_to_product(reader.get(node.output[0]), True)
        for node in nodes
        if node.op_type == "Softmax"
    )


def _first(node: onnx.NodeProto, maker: dict[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """What makes the first input of a node that is computed."""
    return next((maker[name] for name in node.input if name in maker), None)
