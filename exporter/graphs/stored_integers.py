"""The products of an ONNX program that were quantized: what a runtime has to multiply in integers."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from exporter.graphs.bodies import all_graphs

FLOAT_PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm")
INTEGER_PRODUCTS = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulNBits", "QGemm")


def integer_products(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Products of integers, and those that read stored integers through a DequantizeLinear."""
    nodes = list(all_nodes(graph))
    stored = {tensor.name for inner in all_graphs(graph) for tensor in inner.initializer}
    restored = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear" and node.input[0] in stored}
    return [
        node
        for node in nodes
        if node.op_type in INTEGER_PRODUCTS or (node.op_type in FLOAT_PRODUCTS and restored.intersection(node.input))
    ]


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of the bodies inside it."""
    return (node for inner in all_graphs(graph) for node in inner.node)
