from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from exporter.errors import ValidationFailed
from exporter.graphs.sound import require_sound


def saved(nodes, path, outputs=("y",)):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", *outputs)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.save(model, path / "program.onnx")
    return path / "program.onnx"


def neg(before, after, name=""):
    return helper.make_node("Neg", [before], [after], name=name or f"{after}/Neg")


def loop(body):
    count = helper.make_node("Constant", [], ["n"], name="n", value_int=2)
    true = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    again = helper.make_node("Constant", [], ["c"], name="c", value=true)
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, [2]),
    ]
    outputs = [
        helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("next", TensorProto.FLOAT, [2]),
    ]
    nodes = [helper.make_node("Identity", ["go"], ["on"], name="on"), *body]
    graph = helper.make_graph(nodes, "body", inputs, outputs)
    return [count, again, helper.make_node("Loop", ["n", "c", "x"], ["y"], name="Loop", body=graph)]


def test_a_sound_program_passes(tmp_path):
    require_sound(saved([neg("x", "a"), neg("a", "y")], tmp_path), "halve")
    require_sound(saved(loop([neg("state", "next")]), tmp_path), "unroll")


@pytest.mark.parametrize(
    ("nodes", "fault"),
    [
        ([neg("a", "y"), neg("x", "a")], "node 'y/Neg' reads tensor 'a' before it is made"),
        ([neg("b", "y")], "node 'y/Neg' reads tensor 'b' which nothing makes"),
        ([neg("x", "a", "1"), neg("x", "a", "2"), neg("a", "y")], "tensor 'a' has 2 makers"),
        ([neg("x", "a", "n"), neg("a", "y", "n")], "2 nodes are called 'n'"),
        ([neg("x", "a")], "output 'y' is made by nothing"),
        (loop([neg("nowhere", "next")]), "reads tensor 'nowhere' which nothing makes"),
        (loop([neg("state", "n"), neg("n", "next")]), "tensor 'n' hides one of the graph around it"),
    ],
)
def test_a_fault_is_named_with_the_step_that_made_it(nodes, fault, tmp_path):
    with pytest.raises(ValidationFailed) as told:
        require_sound(saved(nodes, tmp_path), "halve denoiser")
    assert "step 'halve denoiser'" in str(told.value) and fault in str(told.value)


def test_what_only_shape_inference_sees_is_named_too(tmp_path):
    nodes = [helper.make_node("Cast", ["x"], ["h"], name="h", to=TensorProto.FLOAT16)]
    nodes.append(helper.make_node("Add", ["x", "h"], ["y"], name="mixed"))
    with pytest.raises(ValidationFailed, match="step 'halve'") as told:
        require_sound(saved(nodes, tmp_path), "halve")
    assert "\n" not in str(told.value)


def test_an_operator_that_the_standard_lacks_is_named(tmp_path):
    with pytest.raises(ValidationFailed, match="Tanhh"):
        require_sound(saved([helper.make_node("Tanhh", ["x"], ["y"], name="t")], tmp_path), "trace")


def test_many_faults_are_counted(tmp_path):
    nodes = [neg("nowhere", name) for name in ("a", "b", "c", "d", "y")]
    with pytest.raises(ValidationFailed, match=r"\(and 2 more\)"):
        require_sound(saved(nodes, tmp_path), "quantize")
