"""INT8 layers on pixels behind a convolution run in XNNPACK; in four dimensions, lowering them ends in a traceback."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from exporter.backends.executorch.lower import lower
from exporter.backends.executorch.program import write_signature
from exporter.backends.executorch.quantize import quantize
from exporter.backends.executorch.trace import export, trace
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.quantize.steps import Quantization
from exporter.recipe.policy import Rule
from exporter.recipe.quantization_section import QuantizationSection
from exporter.runtime.sessions.executorch import ExecuTorchSession
from exporter.targets.target import ExecuTorchOptions

INPUTS = (
    TensorSpec("pixels", "float32", ("batch", 3, 12, 10)),
    TensorSpec("points", "float32", ("batch", "points", 4, 8)),
)
OUTPUTS = (
    TensorSpec("drawn", "float32", ("batch", 12, 10, 3)),
    TensorSpec("moved", "float32", ("batch", "points", 4, 16)),
)


class Painter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.smooth = nn.Conv2d(3, 8, 3, padding=1)
        self.mix, self.ink = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, pixels: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.ink(torch.relu(self.mix(self.smooth(pixels).movedim(1, -1)))), torch.relu(self.mix(points))


def test_a_layer_on_pixels_behind_a_convolution_runs_in_int8(tmp_path):
    torch.manual_seed(0)
    painter = Painter().eval()
    stage = PureModule("painter", painter, INPUTS, OUTPUTS)
    rules = QuantizationSection(
        rules=[Rule(layers=f"painter/{layer}", precision="int8_dynamic") for layer in ("mix", "ink")]
    )
    graph, reports = quantize(stage, trace(stage), Quantization("painter", rules, None, None))
    assert [layer.precision for layer in reports if layer.name != "painter/smooth" and layer.operator == "linear"] == [
        "int8_dynamic"
    ] * 3
    quantized = replace(stage, module=graph)
    lower("painter", export(quantized), {}, ExecuTorchOptions(), tmp_path)
    write_signature(tmp_path, quantized)
    draw = np.random.default_rng(0)
    given = {
        "pixels": draw.normal(size=(1, 3, 12, 10)).astype(np.float32),
        "points": draw.normal(size=(1, 50, 4, 8)).astype(np.float32),
    }
    found = ExecuTorchSession(tmp_path / "program.pte", {"threads": 1}).run(given)
    with torch.no_grad():
        expected = painter(*map(torch.from_numpy, given.values()))
    for name, wanted in zip(("drawn", "moved"), expected, strict=True):
        assert found[name].shape == wanted.shape
        error = np.abs(found[name] - wanted.numpy()).max() / wanted.abs().max()
        assert 1e-4 < error < 0.03
