from __future__ import annotations

import pytest

from exporter.backends.executorch.module_layers import find_layers
from exporter.backends.executorch.trace import trace as to_graph
from exporter.quantize.layers import find_layers as find_onnx_layers
from exporter.quantize.prepared import prepared
from exporter.trace.onnx import trace as to_onnx
from exporter.workshop.sources import program_sources
from tests.exporter.build.test_build import recipe_of


@pytest.fixture(scope="module")
def stages(tiny, tiny_folder):
    from exporter.sampling.schedulers import make_scheduler
    from exporter.sampling.table import probe

    recipe = recipe_of(tiny_folder)
    table = probe(make_scheduler("heun", tiny.scheduler(), "diffusers"), 4, "diffusers")
    return {source.name: source.make_stage for source in program_sources(tiny, recipe, table, None)}


@pytest.mark.parametrize("name", ["text_encoder", "denoiser", "projector", "field"])
def test_layers_are_called_as_in_onnx(stages, tmp_path, name):
    stage = stages[name]()
    ours = {(layer.name, layer.operator) for layer in find_layers(name, to_graph(stage)) if layer.operator != "table"}
    theirs = find_onnx_layers(prepared(to_onnx(stage, 23, tmp_path)))
    assert ours == {(layer.name, layer.operator) for layer in theirs if layer.operator != "table"}
    assert any(operator == "linear" for _, operator in ours)
