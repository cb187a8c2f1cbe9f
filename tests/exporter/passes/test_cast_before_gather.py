from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporter.passes.cast_before_gather import cast_before_gather

TABLE = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float16)
TYPES = {"y": TensorProto.FLOAT, "rows": TensorProto.FLOAT16}
IDS = np.array([[3, 0], [8, 3]])


def model(*nodes, outputs=("y",), dtype=np.float16):
    graph = helper.make_graph(
        list(nodes),
        "program",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 2])],
        [helper.make_tensor_value_info(name, TYPES[name], ["batch", 2, 4]) for name in outputs],
        [numpy_helper.from_array(TABLE.astype(dtype), "table")],
        value_info=[helper.make_tensor_value_info("rows", TensorProto.FLOAT16, ["batch", 2, 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def looked_up(rows="rows", to=TensorProto.FLOAT, y="y"):
    gather = helper.make_node("Gather", ["table", "ids"], [rows], f"{rows}/Gather")
    return [gather, helper.make_node("Cast", [rows], [y], f"{rows}/Cast", to=to)]


def output(program):
    return ort.InferenceSession(program.SerializeToString()).run(["y"], {"ids": IDS})[0]


def test_the_table_is_cast_and_then_looked_up():
    program = model(*looked_up())
    assert tuple(cast_before_gather(program)) == ("Gather from half precision", 1, 1)
    onnx.checker.check_model(program, full_check=True)
    assert [node.op_type for node in program.graph.node] == ["Cast", "Gather"]
    np.testing.assert_array_equal(output(program), TABLE.astype(np.float32)[IDS])


def test_two_lookups_of_one_table_both_are():
    program = model(
        *looked_up("one", y="a"), *looked_up("two", y="b"), helper.make_node("Add", ["a", "b"], ["y"], "sum")
    )
    assert cast_before_gather(program).done == 2
    onnx.checker.check_model(program, full_check=True)
    np.testing.assert_array_equal(output(program), 2 * TABLE.astype(np.float32)[IDS])


@pytest.mark.parametrize(
    ("program", "there"),
    [
        (model(*looked_up(), outputs=("y", "rows")), 1),
        (model(*looked_up(to=TensorProto.DOUBLE)), 1),
        (model(helper.make_node("Gather", ["table", "ids"], ["y"], "gather"), dtype=np.float32), 0),
    ],
    ids=["rows that others read", "another type", "a table of floats"],
)
def test_others_stay(program, there):
    before = program.SerializeToString()
    assert tuple(cast_before_gather(program))[1:] == (0, there)
    assert program.SerializeToString() == before
