"""A name of its own for every tensor and node: passes name what they add after what is there, and may meet."""

from __future__ import annotations

from collections.abc import Collection

import onnx_graphsurgeon as gs


def name_apart(graph: gs.Graph) -> None:
    """Rename in place what bears the name of another: `x`, `x` become `x`, `x_2`. The graph's own inputs and outputs,
    and whatever came first, keep theirs."""
    owners = {value.name: value for value in (*graph.inputs, *graph.outputs)}
    nodes: dict[str, gs.Node] = {}
    for node in graph.nodes:
        for value in (*node.inputs, *node.outputs):
            if value.name and owners.setdefault(value.name, value) is not value:
                value.name = free_name(value.name, owners)
                owners[value.name] = value
        if node.name and nodes.setdefault(node.name, node) is not node:
            node.name = free_name(node.name, nodes)
            nodes[node.name] = node


def free_name(wish: str, taken: Collection[str]) -> str:
    """`wish`, or with the first number behind it that makes it no name of `taken`."""
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    return name
