from __future__ import annotations

import onnx
import pytest
from onnx import helper

from exporter.backends.registry import compiler_for
from exporter.errors import RecipeError, ValidationFailed
from exporter.target import load_target


def program(folder, operator):
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", value[:1], value[1:])
    path = folder / "program.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)]).SerializeToString())
    return path


def test_a_valid_program_is_put_in_place(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    path = program(tmp_path, "Tanh")
    compiled = compiler_for(load_target("cpu"))(path, "fp32", out)
    assert compiled.read_bytes() == path.read_bytes() and compiled.parent == out


def test_a_program_that_only_claims_to_be_int8_is_refused(tmp_path):
    with pytest.raises(ValidationFailed, match="called int8, but no matrix product in it is"):
        compiler_for(load_target("cpu"))(program(tmp_path, "Tanh"), "int8", tmp_path / "out")


def test_an_unknown_operator_is_refused(tmp_path):
    with pytest.raises(ValidationFailed, match=r"not valid ONNX.*Tanhh"):
        compiler_for(load_target("cpu"))(program(tmp_path, "Tanhh"), "fp32", tmp_path / "out")


def test_a_backend_without_a_compiler_is_refused():
    with pytest.raises(RecipeError, match="'tensorrt' cannot be built for"):
        compiler_for(load_target("orin"))
