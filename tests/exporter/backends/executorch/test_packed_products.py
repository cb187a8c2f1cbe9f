from __future__ import annotations

import pytest
import torch
from torch import nn

from exporter.backends.executorch.packed_products import pack_products

aten = torch.ops.aten


class RowProducts(nn.Module):
    """Tokens [1,R,K] by a matrix of each row's own, or objects [R,M,K]."""

    def __init__(self, rows):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, 4, 5))

    def forward(self, values):
        return torch.bmm(values, self.weight)


class TwoActivations(nn.Module):
    def forward(self, left, right):
        return torch.bmm(left, right)


def packed(module, *examples):
    graph = torch.export.export(module, examples).module()
    return pack_products(graph), [node.target for node in graph.graph.nodes]


@pytest.mark.parametrize(("rows", "operator"), [(6, aten.conv2d.default), (1, aten.linear.default)])
@pytest.mark.parametrize("objects", [1, 3])
def test_a_product_with_a_constant_becomes_an_operator_that_packs_it(rows, operator, objects):
    torch.manual_seed(0)
    module, values = RowProducts(rows), torch.randn(rows, objects, 4)
    graph, _ = packed(module, values)
    targets = [node.target for node in graph.graph.nodes]
    assert operator in targets and aten.bmm.default not in targets
    torch.testing.assert_close(graph(values), module(values))
    node = next(node for node in graph.graph.nodes if node.target == operator)
    assert node.meta["val"].shape[0] in (rows, objects) and node.meta["nn_module_stack"]


def test_a_product_of_two_activations_stays():
    left, right = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    graph, _ = packed(TwoActivations(), left, right)
    assert aten.bmm.default in [node.target for node in graph.graph.nodes]
