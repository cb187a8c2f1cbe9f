"""Linear layers on values of four dimensions or more, as the matrices that they are.

ExecuTorch turns values of four dimensions beside a convolution to channels last, between a layer whose activations are
measured at run time and the measuring, after which XNNPACK refuses the layer ("Weight and Input should both be
quantized", 1.5.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten


def flatten_products(graph: fx.GraphModule, products: Iterable[fx.Node]) -> None:
    """Make each `linear` of [..., K] one of [rows, K], its result in the shape that it had; in place."""
    for node in products:
        value = node.args[0]
        assert isinstance(value, fx.Node)
        if value.meta["val"].dim() > 3:
            _flatten(graph, node, value)
    graph.recompile()


def _flatten(graph: fx.GraphModule, node: fx.Node, value: fx.Node) -> None:
    before, last = node.meta["val"], value.meta["val"].dim() - 2

    def call(target: torch._ops.OpOverload, *args: Any) -> fx.Node:
        return graph.graph.call_function(target, args)

    with graph.graph.inserting_before(node):
        rows = call(aten.flatten.using_ints, value, 0, last)
        rows.meta["val"] = aten.flatten.using_ints(value.meta["val"], 0, last)
    node.args = (rows, *node.args[1:])
    node.meta["val"] = aten.flatten.using_ints(before, 0, last)
    users = list(node.users)
    with graph.graph.inserting_before(node.next):
        # A size that is not known before it runs is looked up then.
        sizes = [n if isinstance(n, int) else call(aten.sym_size.int, value, i) for i, n in enumerate(before.shape)]
        shaped = call(aten.view.default, node, sizes)
    shaped.meta["val"] = before
    for user in users:
        user.replace_input_with(node, shaped)
