"""Ports of a program under other names."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from exporter.adopt.ports import ports_of, rename_ports
from exporter.adopt.take_program import take_program
from exporter.errors import BundleError
from exporter.runtime.sessions.onnxruntime import OnnxRuntimeSession

# A branch reads the input, and a tensor inside is called as the input is to be.
PROGRAM = """<ir_version: 10, opset_import: ["" : 20]>
whole (float[n, 3] a, bool flag) => (float[n, 3] b) {
    sample = Mul(a, a)
    c = If(flag) <
        then_branch = yes () => (float[n, 3] d) { d = Add(a, sample) },
        else_branch = no () => (float[n, 3] e) { e = Identity(sample) }
    >
    b = Neg(c)
}"""


def write(path):
    onnx.save(onnx.parser.parse_model(PROGRAM), path)
    return path


def test_a_renamed_program_computes_the_same(tmp_path):
    taken = take_program(write(tmp_path / "a.onnx"), tmp_path / "bundle", {"sample": "a", "prediction": "b"})
    session = OnnxRuntimeSession(taken, {})
    a = np.array([[1, 2, 3]], np.float32)
    assert session.input_names == ("sample", "flag")
    for flag, expected in ((True, -(a + a * a)), (False, -(a * a))):
        np.testing.assert_array_equal(session.run({"sample": a, "flag": np.array(flag)})["prediction"], expected)


def test_a_program_whose_names_fit_keeps_its_bytes(tmp_path):
    source = write(tmp_path / "a.onnx")
    assert take_program(source, tmp_path / "bundle", {"a": "a"}).read_bytes() == source.read_bytes()


def test_two_ports_change_names(tmp_path):
    model = onnx.parser.parse_model(PROGRAM)
    rename_ports(model, {"a": "b", "b": "a"})
    onnx.save(model, tmp_path / "program.onnx")
    inputs, outputs = ports_of(tmp_path / "program.onnx")
    assert [port.name for port in (*inputs, *outputs)] == ["b", "flag", "a"]
    assert inputs[0].shape == ["n", 3] and inputs[1].dtype == "bool"


@pytest.mark.parametrize("location", ["../weights.bin", "inner/weights.bin", "gone.bin"])
def test_weights_that_are_not_beside_the_program_are_refused(tmp_path, location):
    model = onnx.parser.parse_model(PROGRAM)
    tensor = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    model.graph.initializer.append(tensor)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match="beside"):
        take_program(tmp_path / "a.onnx", tmp_path / "bundle", {})
