"""Gemm -> MatMul and Add: the form that every backend's quantizer and fusions know."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from exporter.graphs.rewrites import Rewritten


def gemm_to_matmul(graph: gs.Graph) -> Rewritten:
    """Rewrite every Gemm with a constant weight and plain factors, in bodies of loops too; others stay."""
    found = there = 0
    for inner in (graph, *graph.subgraphs(recursive=True)):
        there += sum(node.op == "Gemm" for node in inner.nodes)
        found += _rewrite(inner)
    return Rewritten("Gemm", found, there)


def _rewrite(graph: gs.Graph) -> int:
    plain = [node for node in graph.nodes if node.op == "Gemm" and _is_plain(node)]
    for node in plain:
        values = node.inputs[1].values
        if node.attrs.get("transB", 0):
            node.inputs[1] = gs.Constant(node.inputs[1].name, np.ascontiguousarray(values.T))
        name = node.name.removesuffix("/Gemm")
        output, bias = node.outputs[0], node.inputs[2] if len(node.inputs) > 2 else None
        node.op, node.attrs, node.name = "MatMul", {}, f"{name}/MatMul"
        if bias is not None:
            product = gs.Variable(f"{name}/MatMul:0", output.dtype)
            node.inputs, node.outputs = node.inputs[:2], [product]
            graph.nodes.insert(
                graph.nodes.index(node) + 1, gs.Node("Add", f"{name}/Add", inputs=[product, bias], outputs=[output])
            )
    return len(plain)


def _is_plain(node: gs.Node) -> bool:
    factors = node.attrs.get("alpha", 1.0) == node.attrs.get("beta", 1.0) == 1.0
    return factors and not node.attrs.get("transA", 0) and isinstance(node.inputs[1], gs.Constant)
