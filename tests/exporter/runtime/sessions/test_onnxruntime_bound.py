"""Bound runs on the processor: the same code as on a GPU, but for the name of the device."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from exporter.errors import BundleError, EnvironmentProblem
from exporter.runtime.sessions.onnxruntime import OnnxRuntimeSession
from exporter.runtime.sessions.onnxruntime_bound import MOST_PLACES, BoundRuns
from exporter.targets.stand_in import stand_in
from exporter.targets.target import load_target

PROGRAM = """<ir_version: 10, opset_import: ["" : 20]>
g (float[n] x, int64 step) => (float[n] y, float[n] z) {
    real = Cast<to = 1>(step)
    y = Add(x, real)
    z = Mul(x, real)
}"""
BOUND = {"providers": ["CPUExecutionProvider"], "bind": "cpu"}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("bound") / "program.onnx"
    onnx.save(onnx.parser.parse_model(PROGRAM), path)
    return path


def inputs(size, step):
    return {"x": np.arange(size, dtype=np.float32), "step": np.array(step, np.int64)}


def test_every_run_is_its_own_however_often_shapes_come_again(program):
    session = OnnxRuntimeSession(program, BOUND)
    found = [(size, step, session.run(inputs(size, step))) for step in range(6) for size in (3, 5, 3)]
    for size, step, outputs in found:
        assert np.array_equal(outputs["y"], np.arange(size, dtype=np.float32) + step)
        assert np.array_equal(outputs["z"], np.arange(size, dtype=np.float32) * step)


def test_only_shapes_that_come_again_get_a_place_and_only_so_many(program, monkeypatch):
    opened = ort.InferenceSession(str(program), providers=["CPUExecutionProvider"])
    runs = BoundRuns(opened, "cpu")
    for size in range(1, 30):
        runs.run(inputs(size, 1))
    assert not runs._places
    for size in range(1, 30):
        runs.run(inputs(size, 1))
    assert len(runs._places) == MOST_PLACES
    assert np.array_equal(runs.run(inputs(2, 7))[0], [7, 8]) and np.array_equal(runs.run(inputs(29, 7))[0][:2], [7, 8])


def test_the_options_of_a_provider_reach_it(program, monkeypatch):
    asked = []

    def opened(path, settings, providers, provider_options):
        asked.append(dict(zip(providers, provider_options, strict=True)))
        raise RuntimeError("seen")

    monkeypatch.setattr(ort, "InferenceSession", opened)
    graphs = {"provider_options": {"CUDAExecutionProvider": {"enable_cuda_graph": "1"}}}
    with pytest.raises(BundleError, match="seen"):
        OnnxRuntimeSession(program, load_target("cuda").session.model_dump() | graphs)
    assert asked == [{"CUDAExecutionProvider": {"enable_cuda_graph": "1"}, "CPUExecutionProvider": {}}]


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.skipif(not stand_in(load_target("cuda")), reason="the CUDA provider is installed")
def test_a_cuda_bundle_never_falls_back_to_the_processor(program):
    with pytest.raises(EnvironmentProblem, match=r"CUDAExecutionProvider is not available here.*t3export doctor"):
        OnnxRuntimeSession(program, load_target("cuda").session.model_dump())
