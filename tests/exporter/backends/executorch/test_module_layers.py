from __future__ import annotations

import pytest

from exporter.backends.executorch.module_layers import find_layers
from exporter.backends.executorch.trace import trace as to_graph
from exporter.quantize.layers import find_layers as find_onnx_layers
from exporter.quantize.prepared import prepared
from exporter.trace.onnx import trace as to_onnx
from tests.exporter.tiny import pure_module


@pytest.mark.parametrize("name", ["text_encoder", "denoiser", "projector", "field"])
def test_layers_are_called_as_in_onnx(tiny, tmp_path, name):
    stage = pure_module(tiny, name)
    layers = find_layers(name, to_graph(stage), stage.root)
    ours = {(layer.name, layer.operator) for layer in layers if layer.operator != "table"}
    theirs = find_onnx_layers(prepared(to_onnx(stage, 23, tmp_path)))
    assert ours == {(layer.name, layer.operator) for layer in theirs if layer.operator != "table"}
    assert any(operator == "linear" for _, operator in ours)
