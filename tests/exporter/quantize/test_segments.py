from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporter.quantize import segments
from exporter.quantize.segments import Segments, cut

X = np.arange(6, dtype=np.float32).reshape(3, 2)


def model(*nodes):
    """Of x [B, 2]; `two` is a weight."""
    graph = helper.make_graph(
        list(nodes),
        "program",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [onnx.ValueInfoProto(name=nodes[-1].output[0])],
        [numpy_helper.from_array(np.array(2, np.float32), "two")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def chain():
    """a = relu x; b = 2 a; c = a + b; d = 2 c; and one that leads nowhere."""
    return model(
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Mul", ["a", "two"], ["b"]),
        helper.make_node("Reshape", ["x", "nothing"], ["e"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Mul", ["c", "two"], ["d"]),
    )


def test_each_node_is_in_one_part_and_those_that_lead_nowhere_in_none():
    parts = list(cut(chain(), [["b"], ["c"], ["d"]]))
    assert [[node.output[0] for node in part.model.graph.node] for part in parts] == [["a", "b"], ["c"], ["d"]]


def test_what_later_parts_read_is_handed_on_and_forgotten_behind_the_last():
    parts = list(cut(chain(), [["b"], ["c"], ["d"]]))
    assert [sorted(part.handed_on) for part in parts] == [["a", "b"], ["c"], []]
    assert [part.past for part in parts] == [["x"], ["a", "b"], ["c"]]


@pytest.mark.parametrize("bound", [1, 50, 2**20])
def test_tensors_are_the_same_in_any_number_of_segments(tmp_path, monkeypatch, bound):
    monkeypatch.setattr(segments, "OUTPUT_BYTES", bound)
    found = dict(Segments(chain(), tmp_path, ["d", "x", "b", "c"], {"x": X}, 1).run({"x": X, "prompts": X}))
    assert list(found) == ["x", "b", "c", "d"], "in the order of the program"
    for name, expected in {"x": X, "b": 2 * X, "c": 3 * X, "d": 6 * X}.items():
        np.testing.assert_array_equal(found[name], expected)


def test_a_size_that_depends_on_a_value_is_measured(tmp_path, monkeypatch):
    nodes = [
        helper.make_node("Greater", ["x", "two"], ["large"]),
        helper.make_node("NonZero", ["large"], ["places"]),
        helper.make_node("Cast", ["places"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "two"], ["y"]),
    ]
    monkeypatch.setattr(segments, "OUTPUT_BYTES", 4 * (2 * 3))
    found = dict(Segments(model(*nodes), tmp_path, ["floats", "y"], {"x": X}, 1).run({"x": X}))
    np.testing.assert_array_equal(found["y"], 2 * np.array(np.nonzero(X > 2), np.float32))
