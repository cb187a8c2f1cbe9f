from __future__ import annotations

import pytest
import torch
from executorch.backends.xnnpack.partition.config.generic_node_configs import AddConfig
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch import nn

from exporter.backends.executorch.delegation import require_delegated
from exporter.errors import ValidationFailed


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return torch.cumsum(self.linear(x) + x, dim=0)


@pytest.fixture(scope="module")
def exported():
    return torch.export.export(Layer(), (torch.zeros(2, 4),))


def lowered(exported, *partitioners):
    return to_edge_transform_and_lower(exported, partitioner=[*partitioners]).exported_program().graph_module


def test_what_is_left_to_portable_kernels_is_counted(exported):
    delegation = require_delegated("field", lowered(exported, XnnpackPartitioner()))
    assert delegation.delegates == 1
    assert delegation.portable == {"aten.cumsum": 1}


def test_nothing_delegated_is_an_error_with_the_nodes(exported):
    with pytest.raises(ValidationFailed, match=r"stage 'field': XNNPACK takes nothing of it.*aten_cumsum"):
        require_delegated("field", lowered(exported))


def test_a_product_left_behind_is_an_error_with_its_node(exported):
    graph = lowered(exported, XnnpackPartitioner(configs=[AddConfig]))
    with pytest.raises(ValidationFailed, match=r"1 products or stored weights were left .* \(aten\.(linear|addmm)\)"):
        require_delegated("field", graph)
