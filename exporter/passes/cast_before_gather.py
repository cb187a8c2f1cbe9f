"""Tables in half precision cast whole before they are looked up: what OpenVINO knows as a compressed constant.

It leaves such a table in its file and casts the rows that it looks up. One that is looked up first it casts whole when
it opens the program, and keeps: 145 MB of CLIP's vocabulary.
"""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import TensorProto, helper

from exporter.graphs.bodies import all_graphs
from exporter.graphs.rewrites import Rewritten


def cast_before_gather(model: onnx.ModelProto) -> Rewritten:
    """Rewrite every Gather from a constant in half precision that only a Cast to float32 reads; others stay.

    Weights may be external, and are not read.
    """
    graphs = list(all_graphs(model.graph))
    reads = Counter(name for graph in graphs for node in graph.node for name in node.input)
    reads.update(value.name for graph in graphs for value in graph.output)
    found = there = 0
    for graph in graphs:
        tables = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
        gathers = {node.output[0]: node for node in graph.node if node.op_type == "Gather" and node.input[0] in tables}
        casts = [node for node in graph.node if _is_to_float(node) and node.input[0] in gathers]
        there += len(gathers)
        for cast in casts:
            if reads[cast.input[0]] == 1:
                _swap(graph, gathers[cast.input[0]], cast)
                found += 1
    return Rewritten("Gather from half precision", found, there)


def _is_to_float(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == TensorProto.FLOAT for a in node.attribute)


def _swap(graph: onnx.GraphProto, gather: onnx.NodeProto, cast: onnx.NodeProto) -> None:
    table, rows = f"{gather.output[0]}:table", gather.output[0]
    place = list(graph.node).index(gather)
    before = helper.make_node("Cast", [gather.input[0]], [table], cast.name, to=TensorProto.FLOAT)
    gather.input[0], gather.output[0] = table, cast.output[0]
    graph.node.remove(cast)
    graph.node.insert(place, before)
    for value in [value for value in graph.value_info if value.name == rows]:
        graph.value_info.remove(value)
