"""The operators of an ONNX program, counted by the precision that they compute in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from exporter.graphs.bodies import all_graphs
from exporter.graphs.tensor_types import tensor_types

PRODUCTS = ("MatMul", "Gemm", "Conv")
INTEGER_PRODUCTS = ("MatMulInteger", "ConvInteger")
_BITS: dict[int | None, str] = {onnx.TensorProto.INT4: "int4", onnx.TensorProto.UINT4: "int4"}
_NAMES: dict[int, str] = {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16"}


def count_operators(program: Path) -> dict[str, dict[str, int]]:
    """{"MatMul": {"int8": 48, "fp32": 3}}: by operator, how many of each precision.

    A product whose two sides come from integers counts as int8, one with an integer weight alone as int8_weights or
    int4_weights; other operators are told by the type of what they give.
    """
    model = onnx.load(program, load_external_data=False)
    nodes = [node for graph in all_graphs(model.graph) for node in graph.node]
    stored = {tensor.name: tensor.data_type for graph in all_graphs(model.graph) for tensor in graph.initializer}
    restored = {node.output[0]: stored.get(node.input[0]) for node in nodes if node.op_type == "DequantizeLinear"}
    types = tensor_types(model)
    counts: dict[str, Counter[str]] = {}
    for node in nodes:
        if node.op_type in INTEGER_PRODUCTS:
            precision = "int8"
        elif node.op_type in PRODUCTS and restored.keys() & set(node.input[:2]):
            precision = _of_product(node, restored)
        else:
            precision = _type_name(types.get(node.output[0]))
        counts.setdefault(node.op_type, Counter())[precision] += 1
    return {operator: dict(sorted(counts[operator].items())) for operator in sorted(counts)}


def _of_product(node: onnx.NodeProto, restored: dict[str, int | None]) -> str:
    sides = [restored[name] for name in node.input[:2] if name in restored]
    bits = next((_BITS[kind] for kind in sides if kind in _BITS), "int8")
    return bits if len(sides) == 2 else f"{bits}_weights"


def _type_name(kind: int | None) -> str:
    if kind is None:
        return "of unknown type"
    return _NAMES.get(kind) or onnx.TensorProto.DataType.Name(onnx.TensorProto.DataType.ValueType(kind)).lower()
