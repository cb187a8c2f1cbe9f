"""What can be quantized in a program: its layers, named as the PyTorch modules they were traced from."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from exporter.recipe.policy import Operator

_OPERATORS: dict[str, Operator] = {
    "Attention": "attention",
    "Softmax": "attention",
    "LayerNormalization": "norm",
    "Gelu": "activation",
    "Sigmoid": "activation",
    "Silu": "activation",
    "Tanh": "activation",
    "Relu": "activation",
}
TABLE_ELEMENTS = 1024
_LAST_PART = re.compile(r"/[^/]+$")


@dataclass(frozen=True)
class Layer:
    """One layer of a program.

    `name`: stage and module, 'denoiser/prior.transformer_blocks.0.attn1.to_q'. `node`: the ONNX node, empty for a
    table. `input`: the activation that goes in. `weight` and its `shape` [..., K, N], where K is summed over.
    """

    name: str
    operator: Operator
    node: str
    input: str
    weight: str | None = None
    shape: tuple[int, ...] = ()


def find_layers(graph: gs.Graph) -> list[Layer]:
    """All layers in the order in which they run; tables, which more than one node may read, at the end.

    Gemms have to be MatMul and Add by now. Products of two activations count as attention.
    """
    layers, weights = [], set()
    for node in graph.nodes:
        name = _LAST_PART.sub("", node.name)
        if node.op == "MatMul" and isinstance(node.inputs[1], gs.Constant):
            weight = node.inputs[1]
            weights.add(weight.name)
            layers.append(Layer(name, "linear", node.name, node.inputs[0].name, weight.name, tuple(weight.shape)))
        elif node.op == "MatMul":
            layers.append(Layer(name, "attention", node.name, node.inputs[0].name))
        elif node.op in _OPERATORS:
            layers.append(Layer(name, _OPERATORS[node.op], node.name, node.inputs[0].name))
    return layers + _tables(graph, weights)


def _tables(graph: gs.Graph, weights: set[str]) -> list[Layer]:
    """Large float constants that are no layer's weight: embeddings, positions, time tables, biases of projections."""
    found: dict[str, Layer] = {}
    stage = re.compile(rf"^{re.escape(graph.name)}[./]")
    for node in graph.nodes:
        for value in node.inputs:
            if isinstance(value, gs.Constant) and value.name not in weights and _is_table(value):
                name = f"{graph.name}/{re.sub(stage, '', value.name)}"
                found[value.name] = Layer(name, "table", "", "", value.name, tuple(value.shape))
    return list(found.values())


def _is_table(value: gs.Constant) -> bool:
    return math.prod(value.shape) >= TABLE_ELEMENTS and value.dtype == np.float32
