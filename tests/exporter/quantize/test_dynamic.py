from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from exporter.parity import compare
from exporter.quantize.dynamic import quantize
from exporter.stage import Stage, TensorSpec
from exporter.trace.onnx import trace


class Rows(torch.nn.Module):
    """One matrix for all rows, whose channels have very different scales."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(32, 48)
        self.linear.weight.data *= torch.logspace(-3, 0, 48)[:, None]

    def forward(self, x):
        return self.linear(x)


class Batched(torch.nn.Module):
    """A matrix of its own for each row."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(8, 32, 48, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return torch.matmul(x.transpose(0, 1), self.weight).transpose(0, 1)


@pytest.mark.parametrize("module", [Rows(), Batched()], ids=["matrix", "batched"])
def test_quantized_program_is_close_and_small(tmp_path, module):
    specs = (TensorSpec("x", "float32", ("batch", 8, 32)),), (TensorSpec("y", "float32", ("batch", 8, 48)),)
    program = trace(Stage("s", module.eval(), *specs), 23, tmp_path / "fp32")
    quantized = quantize(program, tmp_path / "int8")
    kinds = Counter(node.op_type for node in onnx.load(quantized).graph.node)
    assert kinds["MatMulInteger"] == 1 and kinds["MatMul"] == 0
    x = np.random.default_rng(0).standard_normal((3, 8, 32)).astype(np.float32)
    expected, found = (ort.InferenceSession(path).run(None, {"x": x})[0] for path in (program, quantized))
    assert compare(expected, found).snr_db > 30
    if isinstance(module, Rows):
        channels = [compare(expected[..., c], found[..., c]).snr_db for c in range(48)]
        assert min(channels) > 25, "one scale for all channels would drown the small ones"


def test_the_same_program_is_quantized_to_the_same_bytes(tmp_path):
    specs = (TensorSpec("x", "float32", ("batch", 8, 32)),), (TensorSpec("y", "float32", ("batch", 8, 48)),)
    program = trace(Stage("s", Rows().eval(), *specs), 23, tmp_path / "fp32")
    first, second = (quantize(program, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second
