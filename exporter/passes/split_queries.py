"""Large attentions as several of fewer queries each, one after the other: what is kept of all scores is a piece.

ONNX Runtime Web's kernel makes the scores of all queries before it makes anything of them: 135 MB for the two branches
of Shap-E's denoiser, 268 MB for 4096 points among the 4096 of Point-E's cloud. A query's scores are no other's concern,
so that pieces compute the same; the idea is that of "Self-attention Does Not Need O(n²) Memory"
(https://arxiv.org/abs/2112.05682), for queries alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import onnx
from onnx import helper

from exporter.graphs.bodies import all_graphs
from exporter.graphs.plain_attention import is_plain_attention
from exporter.graphs.rewrites import Rewritten
from exporter.pipeline.tensor import POINTS, POINTS_AT_ONCE, RAYS, RAYS_AT_ONCE

# Of one object; 16 MB in float32, as much as the widest activations of Shap-E's denoiser.
MOST_SCORES = 2**22
# Queries that a program takes any number of, and how many of them hosts give it at once.
_AT_ONCE = {POINTS: POINTS_AT_ONCE, RAYS: RAYS_AT_ONCE}
_QUERIES = 2
_Shapes = Mapping[str, list[int | str]]


def split_queries(model: onnx.ModelProto, most: int = MOST_SCORES) -> Rewritten:
    """Split the queries of every plain Attention that makes more than `most` scores of an object; how many of how many.

    The pieces give the same to the bit, but for one of a single query: a product of one row has a kernel of its own.
    Masked, causal and cached ones stay, and those whose heads or keys are dynamic; of these the last are counted.
    Points and rays as queries are as many as hosts give at once. Weights may be external, and are not read.
    """
    found = there = 0
    inferred = onnx.shape_inference.infer_shapes(model).graph
    for graph, known in zip(all_graphs(model.graph), all_graphs(inferred), strict=True):
        shapes = _shapes(known)
        pieces = [_pieces(node, shapes, most) for node in graph.node]
        nodes = [made for node, count in zip(graph.node, pieces, strict=True) for made in _split(node, count, shapes)]
        found += sum(count > 1 for count in pieces)
        there += sum(count != 1 for count in pieces)
        del graph.node[:]
        graph.node.extend(nodes)
    return Rewritten("large Attention", found, there)


def _shapes(graph: onnx.GraphProto) -> _Shapes:
    """By name; a dynamic dimension is its name, or empty."""
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name: [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim] for value in values}


def _pieces(node: onnx.NodeProto, shapes: _Shapes, most: int) -> int:
    """In how many pieces an attention over [batch, heads, tokens, width] keeps at most `most` scores of an object.

    0 where that is not known; 1 for any other node.
    """
    if not is_plain_attention(node):
        return 1
    query, key = (shapes.get(name, []) for name in node.input[:2])
    if len(query) != 4 or len(key) != 4:
        return 0
    heads, queries, keys = query[1], _most(query[_QUERIES]), key[2]
    if not isinstance(heads, int) or not isinstance(keys, int) or not queries:
        return 0
    at_once = max(1, most // (heads * keys))
    return math.ceil(queries / at_once)


def _most(size: int | str) -> int:
    """How large a dimension can be; 0 where no one says."""
    return size if isinstance(size, int) else _AT_ONCE.get(size, 0)


def _split(node: onnx.NodeProto, count: int, shapes: _Shapes) -> Iterator[onnx.NodeProto]:
    """The nodes that give what a node gives."""
    if count <= 1:
        yield node
        return
    output = node.output[0]
    if isinstance(shapes[node.input[0]][_QUERIES], str):
        yield from _split_dynamic(node, count)
        return
    queries, parts = ([f"{output}:{what}_{i}" for i in range(count)] for what in ("queries", "part"))
    yield helper.make_node("Split", node.input[:1], queries, f"{node.name}/Split", axis=_QUERIES, num_outputs=count)
    for i in range(count):
        part = onnx.NodeProto()
        part.CopyFrom(node)
        part.name, part.input[0], part.output[0] = f"{node.name}/Attention_{i}", queries[i], parts[i]
        yield part
    yield helper.make_node("Concat", parts, [output], f"{node.name}/Concat", axis=_QUERIES)


def _split_dynamic(node: onnx.NodeProto, count: int) -> Iterator[onnx.NodeProto]:
    """In pieces of one size, for which queries of zeros are added and their results left out again: a split into more
    pieces than there are queries is an error."""
    query, output = node.input[0], node.output[0]

    def made(operator: str, inputs: list[str], name: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(operator, inputs, [f"{output}:{name}"], f"{node.name}/{name}", **attributes)

    def value(name: str) -> str:
        return f"{output}:{name}"

    yield made("Shape", [query], "number", start=_QUERIES, end=_QUERIES + 1)
    yield made("Constant", [], "pieces", value_ints=[count])
    yield made("Neg", [value("number")], "less")
    yield made("Mod", [value("less"), value("pieces")], "lacking")
    yield made("Constant", [], "before", value_ints=[0] * (4 + _QUERIES))
    yield made("Constant", [], "zero", value_ints=[0])
    yield made("Concat", [value("before"), value("lacking"), value("zero")], "pads", axis=0)
    yield made("Pad", [query, value("pads")], "padded")
    even = onnx.NodeProto()
    even.CopyFrom(node)
    even.input[0], even.output[0] = value("padded"), value("even")
    yield from _split(even, count, {value("padded"): [0] * 4})
    yield made("Constant", [], "axis", value_ints=[_QUERIES])
    yield helper.make_node(
        "Slice", [value("even"), value("zero"), value("number"), value("axis")], [output], f"{node.name}/Slice"
    )
