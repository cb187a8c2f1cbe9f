"""Attention as ONNX Runtime's own operator, whose kernel keeps no matrix of all scores and no copies with heads first.

The standard's `Attention` makes them whole there: 135 MB for the two branches of Shap-E's denoiser. So does this
operator in ONNX Runtime Web, whose WebAssembly takes the kernel's other path: programs for it keep the standard's,
in pieces (`split_queries`).
`com.microsoft.MultiHeadAttention`: https://onnxruntime.ai/docs/reference/operators/ContribOperators.html
"""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import helper, numpy_helper

from exporter.graphs.attention import HEADS_FIRST
from exporter.graphs.bodies import all_graphs
from exporter.graphs.plain_attention import count_written_out, is_plain_attention
from exporter.graphs.rewrites import Rewritten

DOMAIN = "com.microsoft"
OPERATOR = "MultiHeadAttention"


def to_multi_head_attention(model: onnx.ModelProto) -> Rewritten:
    """Rewrite every plain Attention of heads that are split just before and merged just after; how many of how many.

    Masked, causal and cached ones stay, and are not counted; those written as products around a softmax stay and are.
    Weights may be external, and are not read.
    """
    found = there = 0
    inferred = onnx.shape_inference.infer_shapes(model).graph
    for graph, known in zip(all_graphs(model.graph), all_graphs(inferred), strict=True):
        there += sum(map(is_plain_attention, graph.node)) + count_written_out(graph.node)
        found += _rewrite(graph, known)
    if found:
        _drop_unread(model)
        if DOMAIN not in {entry.domain for entry in model.opset_import}:
            model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return Rewritten("Attention", found, there)


def _rewrite(graph: onnx.GraphProto, known: onnx.GraphProto) -> int:
    """`known`: the same graph with the shapes of its tensors, which a step's copies in a larger graph come without."""
    places = _Places(graph, known)
    made: dict[str, onnx.NodeProto] = {}
    dropped: set[str] = set()
    for node in graph.node:
        if is_plain_attention(node) and (parts := places.around(node)):
            heads, inputs, output, between = parts
            scale = {a.name: a.f for a in node.attribute if a.name == "scale"}
            made[output] = helper.make_node(
                OPERATOR, inputs, [output], node.name, domain=DOMAIN, num_heads=heads, **scale
            )
            dropped.update(between)
    nodes = [made.get(node.output[0], node) for node in graph.node if node.output[0] not in dropped]
    del graph.node[:]
    graph.node.extend(nodes)
    return len(made)


class _Places:
    """What makes and what reads the tensors of a graph."""

    def __init__(self, graph: onnx.GraphProto, known: onnx.GraphProto) -> None:
        self.maker = {name: node for node in graph.node for name in node.output}
        self.readers = _count_reads(graph)
        self.reader = {name: node for node in graph.node for name in node.input}
        self.ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in (*known.value_info, *known.input)}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}

    def around(self, attention: onnx.NodeProto) -> tuple[int, list[str], str, list[str]] | None:
        """Heads, the three inputs and the output with heads side by side, and what is made between; None if unlike."""
        inputs, between, heads = [], [attention.output[0]], 0
        for value in attention.input:
            transposed = self._single(self.maker.get(value), "Transpose")
            split = self._single(self.maker.get(transposed.input[0]), "Reshape") if transposed else None
            if transposed is None or split is None or self.ranks.get(split.input[0]) != 3:
                return None
            shape = self._shape(split)
            if not _swaps_heads(transposed) or len(shape) != 4:
                return None
            heads = shape[2]
            inputs.append(split.input[0])
            between += [transposed.output[0], split.output[0]]
        merging = self._next(attention, "Transpose")
        merged = self._next(merging, "Reshape") if merging and _swaps_heads(merging) else None
        if merging is None or merged is None or len(self._shape(merged)) != 3:
            return None
        return heads, inputs, merged.output[0], [*between, merging.output[0]]

    def _single(self, node: onnx.NodeProto | None, operator: str) -> onnx.NodeProto | None:
        """The node if it is of this operator, and read once."""
        return node if node and node.op_type == operator and self.readers[node.output[0]] == 1 else None

    def _next(self, node: onnx.NodeProto, operator: str) -> onnx.NodeProto | None:
        """The only reader of a node, if it is of this operator."""
        value = node.output[0]
        reader = self.reader.get(value)
        return reader if reader and self.readers[value] == 1 and reader.op_type == operator else None

    def _shape(self, reshape: onnx.NodeProto) -> list[int]:
        """What a tensor is reshaped to; -1 for a size that is known when it runs. Empty where nothing is known."""
        name = reshape.input[1]
        if (tensor := self.constants.get(name)) is not None:
            return numpy_helper.to_array(tensor).tolist()
        together = self.maker.get(name)
        if together is None or together.op_type != "Concat":
            return []
        parts = [self.constants.get(part) for part in together.input]
        return [size for part in parts for size in (numpy_helper.to_array(part).tolist() if part is not None else [-1])]


def _swaps_heads(transpose: onnx.NodeProto) -> bool:
    return [list(a.ints) for a in transpose.attribute if a.name == "perm"] == [HEADS_FIRST]


def _count_reads(graph: onnx.GraphProto) -> Counter[str]:
    """How often each tensor is read, in the graph and in the bodies inside it, or given out."""
    reads: Counter[str] = Counter()
    for inner in all_graphs(graph):
        reads.update(name for node in inner.node for name in node.input)
        reads.update(value.name for value in inner.output)
    return reads


def _drop_unread(model: onnx.ModelProto) -> None:
    """Shapes that nothing reads any more, and what makes them; all else was read before, and is."""
    while _drop_unread_nodes(model):
        pass
    reads = _count_reads(model.graph)
    for graph in all_graphs(model.graph):
        kept = [tensor for tensor in graph.initializer if reads[tensor.name]]
        del graph.initializer[:]
        graph.initializer.extend(kept)


def _drop_unread_nodes(model: onnx.ModelProto) -> int:
    """Drop the nodes whose outputs are not read; how many there were."""
    reads, dropped = _count_reads(model.graph), 0
    for graph in all_graphs(model.graph):
        kept = [node for node in graph.node if any(reads[name] for name in node.output)]
        dropped += len(graph.node) - len(kept)
        del graph.node[:]
        graph.node.extend(kept)
    return dropped
