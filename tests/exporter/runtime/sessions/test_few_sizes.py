from __future__ import annotations

import numpy as np
import pytest

from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.bundle import Bundle
from exporter.runtime.sessions.few_sizes import SIZES, FewSizes, few_size
from exporter.runtime.sessions.session import keeps_plans
from tests.faults.long_lived import bundle_for

INPUTS = (TensorSpec("points", "float32", ("batch", "points", 3)), TensorSpec("context", "float32", ("batch", 2)))
OUTPUTS = (TensorSpec("color", "float32", ("batch", "points", 3)), TensorSpec("total", "float32", ("batch", 2)))


class Doubling:
    """Keeps the numbers of points that it was given."""

    input_names = ("points", "context")

    def __init__(self):
        self.seen = []

    def run(self, arrays):
        self.seen.append(arrays["points"].shape[1])
        return {"color": 2 * arrays["points"], "total": arrays["context"] + 1}


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000, 4096, 5000])
def test_outputs_are_those_of_the_places_that_were_given(count):
    inner = Doubling()
    points = np.random.default_rng(0).standard_normal((2, count, 3), np.float32)
    context = np.ones((2, 2), np.float32)
    found = FewSizes(inner, INPUTS, OUTPUTS).run({"points": points, "context": context, "other": context})
    assert np.array_equal(found["color"], 2 * points) and np.array_equal(found["total"], context + 1)
    assert inner.seen == [few_size(count)]


def test_there_are_few_sizes():
    sizes = {few_size(count) for count in range(1, SIZES[-1] + 1)}
    assert sizes == set(SIZES) and len(SIZES) == 5
    assert all(few_size(count) < 2 * count for count in range(SIZES[0], 10_000))


def test_openvino_is_given_few_sizes_and_makes_the_same_object(tmp_path):
    pytest.importorskip("openvino")
    meshes = {}
    for target in ("cpu", "cpu-openvino"):
        bundle = Bundle.open(bundle_for(target, tmp_path / target))
        session, seen = bundle.session("field"), set()
        own = session.session if isinstance(session, FewSizes) else session

        def watched(arrays, own=own, run=own.run, seen=seen):
            seen.add(arrays["points"].shape[1])
            return run(arrays)

        own.run = watched
        meshes[target] = [bundle.generate("a red ball", seed=seed, grid=9 + seed) for seed in range(12)]
        assert (seen <= set(SIZES)) == (target == "cpu-openvino")
    for one, other in zip(meshes["cpu"], meshes["cpu-openvino"], strict=True):
        np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-5)


@pytest.mark.parametrize(
    ("backend", "options", "kept"),
    [
        ("openvino", {}, True),
        ("tensorrt", {}, True),
        ("onnxruntime", {"providers": ["CUDAExecutionProvider", "CPUExecutionProvider"]}, True),
        ("onnxruntime", {"providers": ["CPUExecutionProvider"]}, False),
        ("onnxruntime", {}, False),
        ("executorch", {}, False),
    ],
)
def test_which_runtimes_keep_plans(backend, options, kept):
    assert keeps_plans(backend, options) == kept
