"""Products of INT8 are right on every processor."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporter.machine.processor import Processor
from exporter.runtime.sessions.onnxruntime import EXACT_SUMS, OnnxRuntimeSession, exact_sums

LARGEST = (255, 127)  # their products, two by two, are more than 16 bits hold


def test_the_largest_products_do_not_overflow(tmp_path):
    rows, inner, columns = 4, 64, 16
    weight = numpy_helper.from_array(np.full((inner, columns), LARGEST[1], np.int8), "weight")
    given = helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", inner])
    sums = helper.make_tensor_value_info("y", TensorProto.INT32, ["rows", columns])
    product = helper.make_node("MatMulInteger", ["x", "weight"], ["y"])
    graph = helper.make_graph([product], "product", [given], [sums], [weight])
    path = tmp_path / "program.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    found = OnnxRuntimeSession(path, {}).run({"x": np.full((rows, inner), LARGEST[0], np.uint8)})["y"]
    np.testing.assert_array_equal(found, inner * LARGEST[0] * LARGEST[1])


@pytest.mark.parametrize(
    ("architecture", "flags", "slower"),
    [
        ("x86-64", {"avx2"}, True),
        ("x86-64", set(), True),
        ("x86-64", {"avx2", "avx512_vnni"}, False),
        ("x86-64", {"avx2", "avx_vnni"}, False),
        ("arm64", {"asimd"}, False),
    ],
)
def test_only_a_processor_that_needs_them_gets_the_slower_products(architecture, flags, slower, monkeypatch):
    processor = Processor(architecture, frozenset(flags))
    monkeypatch.setattr("exporter.runtime.sessions.onnxruntime.this_processor", lambda: processor)
    assert exact_sums() == (EXACT_SUMS if slower else {})
