"""Products of INT8 are right on every processor."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporter.machine.processor import Processor
from exporter.runtime.sessions import openvino
from exporter.runtime.sessions.onnxruntime import EXACT_SUMS, OnnxRuntimeSession, exact_sums
from exporter.runtime.sessions.openvino import OpenVinoSession

ROWS, INNER, COLUMNS = 4, 64, 16
# Two such products together are more than 16 bits hold.
LARGEST = 255 * 127


@pytest.fixture
def program(tmp_path):
    """Quantizes its input, of ones at most, and multiplies it by the largest weights."""
    constants = {
        "scale": np.float32(1 / 255), "zero": np.uint8(0), "weight": np.full((INNER, COLUMNS), 127, np.int8),
        "weight_scale": np.float32(1), "weight_zero": np.int8(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["stored"]),
        helper.make_node("DequantizeLinear", ["stored", "scale", "zero"], ["read"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["read_weight"]),
        helper.make_node("MatMul", ["read", "read_weight"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(*port) for port in (("x", 1, ["rows", INNER]), ("y", 1, ["rows", COLUMNS]))]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "product", ports[:1], ports[1:], stored)
    path = tmp_path / "program.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    return path


@pytest.mark.parametrize("session", [OnnxRuntimeSession, OpenVinoSession])
def test_the_largest_products_do_not_overflow(session, program):
    found = session(program, {}).run({"x": np.ones((ROWS, INNER), np.float32)})["y"]
    np.testing.assert_allclose(found, INNER * 127, rtol=1e-5)


def test_integers_are_added_up_whole(tmp_path):
    weight = numpy_helper.from_array(np.full((INNER, COLUMNS), 127, np.int8), "weight")
    given = helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", INNER])
    sums = helper.make_tensor_value_info("y", TensorProto.INT32, ["rows", COLUMNS])
    product = helper.make_node("MatMulInteger", ["x", "weight"], ["y"])
    graph = helper.make_graph([product], "product", [given], [sums], [weight])
    path = tmp_path / "program.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    found = OnnxRuntimeSession(path, {}).run({"x": np.full((ROWS, INNER), 255, np.uint8)})["y"]
    np.testing.assert_array_equal(found, INNER * LARGEST)


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
    for backend in ("onnxruntime", "openvino"):
        monkeypatch.setattr(f"exporter.runtime.sessions.{backend}.this_processor", lambda: processor)
    assert exact_sums() == (EXACT_SUMS if slower else {})
    wanted = openvino.FLOAT_PRODUCTS if slower else openvino.INTEGER_PRODUCTS
    assert openvino._settings({}).items() >= wanted.items()
