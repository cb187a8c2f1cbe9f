"""Products with a constant in the operators that XNNPACK packs the constant for, and has in INT8.

[R,M,K] @ [R,K,N] with rows that each have a matrix of their own runs as R small products one after the other; as a
convolution of one pixel in R groups it is one operator, with a scale for every row and channel. (256 rows of 256 to 93
on one x86-64 core: 3.3 ms as a product, 0.7 ms in float32 and 0.2 ms in INT8 as a convolution.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

aten = torch.ops.aten


def pack_products(graph: fx.GraphModule) -> fx.GraphModule:
    """The same graph with `bmm` by a constant as a linear layer, or as a grouped convolution; in place."""
    for node in list(graph.graph.nodes):
        if node.target == aten.bmm.default and node.args[1].op == "get_attr":
            _replace(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _replace(graph: fx.GraphModule, node: fx.Node) -> None:
    value, constant = node.args
    assert isinstance(value, fx.Node) and isinstance(constant, fx.Node)
    matrices = _tensor(graph, str(constant.target)).transpose(1, 2).contiguous()
    rows, outer, inner = matrices.shape
    sizes = value.meta["val"]

    def call(target: torch._ops.OpOverload, *args: Any) -> fx.Node:
        made = graph.graph.call_function(target, args)
        made.meta = {key: node.meta[key] for key in ("nn_module_stack", "source_fn_stack") if key in node.meta}
        made.meta["val"] = target(*(arg.meta["val"] if isinstance(arg, fx.Node) else arg for arg in args))
        return made

    def weight(values: torch.Tensor) -> fx.Node:
        name = f"{str(constant.target).replace('.', '_')}_packed"
        graph.register_parameter(name, torch.nn.Parameter(values, requires_grad=False))
        made = graph.graph.get_attr(name)
        made.meta["val"] = sizes.fake_mode.from_tensor(values)
        return made

    with graph.graph.inserting_before(node):
        if rows == 1:
            found = call(aten.linear.default, value, weight(matrices[0]))
        else:
            count = sizes.shape[1]
            by_object = call(aten.permute.default, value, [1, 0, 2])
            pixels = call(aten.reshape.default, by_object, [count, rows * inner, 1, 1])
            kernel = weight(matrices.reshape(rows * outer, inner, 1, 1))
            channels = call(aten.conv2d.default, pixels, kernel, None, [1, 1], [0, 0], [1, 1], rows)
            by_row = call(aten.reshape.default, channels, [count, rows, outer])
            found = call(aten.permute.default, by_row, [1, 0, 2])
    node.replace_all_uses_with(found)


def _tensor(graph: fx.GraphModule, path: str) -> torch.Tensor:
    owner, _, name = path.rpartition(".")
    found = getattr(graph.get_submodule(owner), name)
    assert isinstance(found, torch.Tensor)
    return found.detach()
