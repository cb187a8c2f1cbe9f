"""What is written beside a program: weights, a record, test cases; on a network of two layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from exporter.backends.executorch.lower import RECORD, lower
from exporter.backends.executorch.program import write_signature
from exporter.backends.executorch.test_cases import failing, write_test_cases
from exporter.backends.executorch.trace import export, trace
from exporter.errors import BundleError, ValidationFailed
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.sessions.executorch import ExecuTorchSession
from exporter.targets.target import ExecuTorchOptions
from validate.bisect.operators import stage_gaps

INPUTS = (TensorSpec("points", "float32", ("batch", "points", 64)),)
OUTPUTS = (TensorSpec("color", "float32", ("batch", "points", 8)),)


@pytest.fixture(scope="module")
def stage():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 512), nn.LayerNorm(512), nn.Linear(512, 8)).eval()
    return PureModule("field", module, INPUTS, OUTPUTS)


def lowered(stage, folder, **options):
    graph = PureModule(stage.name, trace(stage), stage.inputs, stage.outputs)
    folder.mkdir()
    lower(stage.name, export(graph), {"evaluations": 3}, ExecuTorchOptions(**options), folder)
    write_signature(folder, graph)
    return folder


@pytest.fixture(scope="module")
def folder(stage, tmp_path_factory):
    return lowered(stage, tmp_path_factory.mktemp("plain") / "field", etrecord=True)


@pytest.fixture(scope="module")
def goldens(stage, tmp_path_factory):
    points = np.random.default_rng(0).normal(size=(2, 50, 64)).astype(np.float32)
    with torch.no_grad():
        color = stage.module(torch.from_numpy(points)).numpy()
    path = tmp_path_factory.mktemp("goldens") / "field_000.npz"
    np.savez(path, points=points, color=color)
    return [path]


def test_weights_outside_leave_a_small_program_that_needs_them(stage, folder, goldens, tmp_path):
    outside = lowered(stage, tmp_path / "field", external_weights=True)
    inside = (folder / "program.pte").stat().st_size
    assert (outside / "program.pte").stat().st_size < inside / 3
    assert (outside / "program.ptd").stat().st_size > inside / 2
    with np.load(goldens[0]) as golden:
        found = ExecuTorchSession(outside / "program.pte", {}).run({"points": golden["points"]})
        assert np.allclose(found["color"], golden["color"], atol=1e-5)
    (outside / "program.ptd").unlink()
    with pytest.raises(BundleError, match="ExecuTorch cannot open it"):
        ExecuTorchSession(outside / "program.pte", {})


def test_goldens_are_test_cases_that_a_runner_passes_and_a_wrong_program_fails(folder, goldens, tmp_path):
    content, tolerance = write_test_cases(folder / "program.pte", INPUTS, OUTPUTS, goldens, snr_db=90.0)
    assert 1e-6 < tolerance < 1e-3
    assert list(failing(content, 1, tolerance)) == []
    assert list(failing(content, 1, 1e-12)) == [0]
    with np.load(goldens[0]) as golden:
        np.savez(tmp_path / "field_000.npz", points=golden["points"], color=golden["color"] + 0.01)
    with pytest.raises(ValidationFailed, match=r"test case 0 \(field_000.npz\): an element is off by more than"):
        write_test_cases(folder / "program.pte", INPUTS, OUTPUTS, [tmp_path / "field_000.npz"], snr_db=90.0)


def test_a_record_tells_the_gap_of_every_operator(folder, goldens):
    gaps = stage_gaps("field", folder, folder / RECORD, goldens[0])
    assert {gap.ran_by for gap in gaps} == {"XNNPACK", "native_call_native_layer_norm.out"}
    assert all(gap.snr_db > 100 for gap in gaps)
