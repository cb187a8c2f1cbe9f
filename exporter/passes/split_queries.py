"""Large attentions as several of fewer queries each, one after the other: what is kept of all scores is a piece.

ONNX Runtime Web's kernel makes the scores of all queries before it makes anything of them: 135 MB for the two branches
of Shap-E's denoiser. A query's scores are no other's concern, so that pieces compute the same; the idea is that of
"Self-attention Does Not Need O(n²) Memory" (https://arxiv.org/abs/2112.05682), for queries alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
from onnx import helper

from exporter.graphs.bodies import all_graphs
from exporter.graphs.plain_attention import is_plain_attention
from exporter.graphs.rewrites import Rewritten

# Of one object; 16 MB in float32, as much as the widest activations of Shap-E's denoiser.
MOST_SCORES = 2**22
_QUERIES = 2


def split_queries(model: onnx.ModelProto, most: int = MOST_SCORES) -> Rewritten:
    """Split the queries of every plain Attention that makes more than `most` scores of an object; how many of how many.

    The pieces give the same to the bit, but for one of a single query: a product of one row has a kernel of its own.
    Masked, causal and cached ones stay, and those whose heads or tokens are dynamic; of these the last are counted.
    Weights may be external, and are not read.
    """
    found = there = 0
    inferred = onnx.shape_inference.infer_shapes(model).graph
    for graph, known in zip(all_graphs(model.graph), all_graphs(inferred), strict=True):
        shapes = _static_shapes(known)
        pieces = [_pieces(node, shapes, most) for node in graph.node]
        nodes = [made for node, count in zip(graph.node, pieces, strict=True) for made in _split(node, count)]
        found += sum(count > 1 for count in pieces)
        there += sum(count != 1 for count in pieces)
        del graph.node[:]
        graph.node.extend(nodes)
    return Rewritten("large Attention", found, there)


def _static_shapes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """By name; 0 for a dynamic dimension."""
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in values}


def _pieces(node: onnx.NodeProto, shapes: dict[str, list[int]], most: int) -> int:
    """In how many pieces an attention over [batch, heads, tokens, width] keeps at most `most` scores of an object.

    0 where that is not known; 1 for any other node.
    """
    if not is_plain_attention(node):
        return 1
    query, key = (shapes.get(name, []) for name in node.input[:2])
    if len(query) != 4 or len(key) != 4 or 0 in (*query[1:3], key[2]):
        return 0
    (heads, queries), keys = query[1:3], key[2]
    at_once = max(1, most // (heads * keys))
    return math.ceil(queries / at_once)


def _split(node: onnx.NodeProto, count: int) -> Iterator[onnx.NodeProto]:
    """The nodes that give what a node gives."""
    if count <= 1:
        yield node
        return
    output = node.output[0]
    queries, parts = ([f"{output}:{what}_{i}" for i in range(count)] for what in ("queries", "part"))
    yield helper.make_node("Split", node.input[:1], queries, f"{node.name}/Split", axis=_QUERIES, num_outputs=count)
    for i in range(count):
        part = onnx.NodeProto()
        part.CopyFrom(node)
        part.name, part.input[0], part.output[0] = f"{node.name}/Attention_{i}", queries[i], parts[i]
        yield part
    yield helper.make_node("Concat", parts, [output], f"{node.name}/Concat", axis=_QUERIES)
