"""Attention of queries, keys and values, and nothing else."""

from __future__ import annotations

import onnx
from onnx import helper

# What `Attention` does besides.
_MUST_BE_OFF = ("is_causal", "softcap", "qk_matmul_output_mode")


def is_plain_attention(node: onnx.NodeProto) -> bool:
    """Whether a node is an `Attention` without a mask, a cache and a second output."""
    if node.op_type != "Attention" or len(node.output) != 1 or sum(map(bool, node.input)) != 3:
        return False
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return not any(values.get(name) for name in _MUST_BE_OFF)
