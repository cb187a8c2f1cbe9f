from __future__ import annotations

import pytest
import torch

from exporter.graphs.program_files import copy_program
from exporter.pipeline.pipeline import PipelineStage
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.quantize.steps import Quantization
from exporter.recipe.quantization_section import QuantizationSection
from exporter.targets.target import load_target
from exporter.workshop.onnx_program import OnnxProgram
from exporter.workshop.sources import Source

LATENTS, POINTS = (TensorSpec(name, "float32", ("batch", 8, 3)) for name in ("latents", "spots"))


class Units(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scales = torch.nn.Buffer(torch.tensor([0.1, 0.2, 0.3]))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return latents / self.scales


class Cloud(torch.nn.Module):
    """No layer that a policy could name: constants of a module inside, or none at all."""

    def __init__(self, has_module: bool) -> None:
        super().__init__()
        self.units = Units() if has_module else torch.abs

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.units(latents)


@pytest.mark.parametrize(("has_module", "precision"), [(True, "fp16"), (False, "fp32")])
def test_a_stage_without_layers_whose_constants_are_halved_is_judged_in_half_precision(tmp_path, has_module, precision):
    stage = PipelineStage(kind="map", inputs=[LATENTS], outputs=[POINTS])
    module = PureModule("cloud", Cloud(has_module).eval(), (LATENTS,), (POINTS,))
    source = Source(
        "cloud", stage, lambda: module, {}, Quantization("cloud", QuantizationSection(rules=[]), None, None)
    )
    program = OnnxProgram(source, lambda path, layers, folder: copy_program(path, folder))
    before = None
    for number, transform in enumerate(program.transforms(load_target("orin"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        transform.run(before, folder)
        before = folder
    assert program.layers(before) == [] and program.precision(before) == precision
