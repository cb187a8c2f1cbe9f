"""The layers of a traced graph, under the names that they have in every backend: stage and PyTorch module."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from torch import fx

from exporter.quantize.layers import TABLE_ELEMENTS
from exporter.recipe.policy import Operator

aten = torch.ops.aten

PRODUCTS = (aten.linear.default, aten.conv2d.default)
_OPERATORS: dict[object, Operator] = {
    **dict.fromkeys(PRODUCTS, "linear"),
    aten.bmm.default: "attention",
    aten.softmax.int: "attention",
    aten.layer_norm.default: "norm",
    aten.gelu.default: "activation",
    aten.sigmoid.default: "activation",
    aten.silu.default: "activation",
    aten.tanh.default: "activation",
    aten.relu.default: "activation",
}
_REPEATED = re.compile(r"@\d+$")


@dataclass(frozen=True)
class GraphLayer:
    """One layer: `name` as in 'denoiser/prior.transformer_blocks.0.attn1.to_q', its node (none for a table)."""

    name: str
    operator: Operator
    node: fx.Node | None = None


def find_layers(stage: str, graph: fx.GraphModule, root: str = "") -> list[GraphLayer]:
    """All layers in the order in which they run; large float constants that are no product's weight at the end.

    `root`: the module whose layers are named as if they were the stage's own.
    """
    layers = [
        GraphLayer(_name(stage, root, _scope(node)), _OPERATORS[node.target], node)
        for node in graph.graph.nodes
        if node.target in _OPERATORS
    ]
    weights = {node.args[1] for node in graph.graph.nodes if node.target in PRODUCTS}
    tables = [
        GraphLayer(_name(stage, root, str(node.target)), "table")
        for node in graph.graph.nodes
        if node.op == "get_attr" and node not in weights and _is_table(node.meta.get("val"))
    ]
    return layers + tables


def _scope(node: fx.Node) -> str:
    """The dotted name of the innermost module that a node comes from."""
    stack = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
    return _REPEATED.sub("", stack[-1]) if stack else ""


def _name(stage: str, root: str, scope: str) -> str:
    inside = scope.removeprefix(f"{root}.")
    return f"{stage}/{inside}" if inside else stage


def _is_table(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32 and math.prod(value.shape) >= TABLE_ELEMENTS
