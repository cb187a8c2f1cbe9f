from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from exporter.errors import ValidationFailed
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.trace.onnx import to_ir, trace
from exporter.workshop.parity import compare
from tests.exporter.tiny import pure_module


def inputs_of(stage, batch, others):
    rng = np.random.default_rng(batch)
    sizes = {"batch": batch, "points": others, "rays": others}
    arrays = {}
    for spec in stage.inputs:
        shape = [sizes.get(d, d) for d in spec.shape]
        integers = spec.dtype == "int64"
        arrays[spec.name] = rng.integers(0, 5, shape) if integers else rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    return arrays


@pytest.mark.parametrize(
    ("name", "opset"),
    [("text_encoder", 20), ("text_encoder", 23), ("projector", 23), ("field", 20), ("renderer", 23), ("denoiser", 20)],
)
def test_program_equals_its_module_at_any_size(tiny, tmp_path, name, opset):
    stage = pure_module(tiny, name)
    program = trace(stage, opset, tmp_path)
    session = ort.InferenceSession(program)
    assert [i.name for i in session.get_inputs()] == [spec.name for spec in stage.inputs]
    assert [list(i.shape) for i in session.get_inputs()] == [list(spec.shape) for spec in stage.inputs]
    assert [o.name for o in session.get_outputs()] == [spec.name for spec in stage.outputs]
    for batch, others in ((1, 1), (3, 17)):
        arrays = inputs_of(stage, batch, others)
        with torch.inference_mode():
            expected = stage.module(*(torch.from_numpy(a) for a in arrays.values()))
        expected = expected if isinstance(expected, tuple) else (expected,)
        for reference, actual in zip(expected, session.run(None, arrays), strict=True):
            assert compare(reference.numpy(), actual).snr_db > (75 if name == "renderer" else 90)
    model = onnx.load(program)
    onnx.checker.check_model(model)
    assert {o.domain: o.version for o in model.opset_import} == {"": opset}


def test_the_same_stage_gives_the_same_bytes_and_no_path(tiny, tmp_path):
    first, second = (trace(pure_module(tiny, "field"), 23, tmp_path / n).read_bytes() for n in ("a", "b"))
    assert first == second
    assert b"site-packages" not in first and b".py" not in first


def test_names_come_from_the_modules(tiny, tmp_path):
    graph = onnx.load(trace(pure_module(tiny, "text_encoder"), 23, tmp_path)).graph
    layer = "model.text_model.encoder.layers.0.self_attn.q_proj"
    matmul = next(node for node in graph.node if node.name == f"text_encoder/{layer}/MatMul")
    assert matmul.input[1] == f"{layer}.weight"
    names = [node.name for node in graph.node]
    assert len(names) == len(set(names))


class FixesTheBatch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.row = torch.nn.Parameter(torch.zeros(1, 3))

    def forward(self, x):
        return x + self.row.expand(len(x), -1)


def test_a_module_that_fixes_a_size_which_is_open_is_refused_by_name():
    spec = TensorSpec("x", "float32", ("batch", 3))
    with pytest.raises(ValidationFailed, match=r"stage 'lift': its program takes 'x' with 2 batch only"):
        to_ir(PureModule("lift", FixesTheBatch(), (spec,), (replace(spec, name="y"),)), 23)
