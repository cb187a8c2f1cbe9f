"""What a lowered program leaves to the portable kernels, which are slower by orders of magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import fx

from exporter.errors import ValidationFailed

PRODUCTS = ("aten.linear", "aten.addmm", "aten.mm", "aten.bmm", "aten.convolution")
_STORED = ("quantized_decomposed.dequantize_per_channel", "quantized_decomposed.dequantize_per_channel_group")
_SHOWN = 8


@dataclass(frozen=True)
class Delegation:
    """Nodes of a program: how many parts the delegate runs, and the operators that are left to portable kernels."""

    delegates: int
    portable: dict[str, int]


def require_delegated(stage: str, graph: fx.GraphModule) -> Delegation:
    """How an edge program was divided.

    Raises ValidationFailed, with the nodes, where nothing went to the delegate, or where a product of matrices stayed
    behind, or a stored weight that would be turned back into floats at every run.
    """
    calls = [node for node in graph.graph.nodes if node.op == "call_function"]
    delegates = [node for node in calls if _operator(node) == "executorch_call_delegate"]
    portable = [node for node in calls if node not in delegates and "getitem" not in _operator(node)]
    if not delegates:
        raise ValidationFailed(
            f"stage '{stage}': XNNPACK takes nothing of it; all {len(portable)} nodes would run on "
            f"portable kernels: {_listed(portable)}"
        )
    left = [node for node in portable if _operator(node).startswith((*PRODUCTS, *_STORED))]
    if left:
        raise ValidationFailed(
            f"stage '{stage}': {len(left)} products or stored weights were left to portable kernels: "
            f"{_listed(left)}. Choose another precision for these layers"
        )
    counts: dict[str, int] = {}
    for node in portable:
        counts[_operator(node)] = counts.get(_operator(node), 0) + 1
    return Delegation(len(delegates), dict(sorted(counts.items())))


def _operator(node: fx.Node) -> str:
    """aten.bmm, quantized_decomposed.dequantize_per_channel, executorch_call_delegate …"""
    target: Any = node.target
    name = str(getattr(target, "__name__", target))
    return name.removesuffix(".default")


def _listed(nodes: list[fx.Node]) -> str:
    names = ", ".join(f"{node.name} ({_operator(node)})" for node in nodes[:_SHOWN])
    return f"{names} and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else names
