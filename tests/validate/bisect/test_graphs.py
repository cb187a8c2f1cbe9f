from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from tests.exporter.quantize.test_palette import program, random
from validate.bisect.graphs import between, run


def test_a_part_of_a_program_brings_the_functions_of_its_palettes_along(tmp_path):
    model = onnx.load(program(tmp_path, random((4, 8), 4), random((4, 8), 2, seed=1)))
    known = {"x": np.ones(8, np.float32)}
    part = between(model, known, ["y_1"])
    np.testing.assert_array_equal(run(part, known, ["y_1"])["y_1"], run(model, known, ["y_1"])["y_1"])


def test_a_node_with_known_outputs_beside_the_one_that_is_needed():
    halves = helper.make_node("Split", ["x"], ["left", "right"], num_outputs=2)
    both = helper.make_node("Add", ["left", "right"], ["sum"])
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None]) for name in ("x", "sum")]
    model = helper.make_model(
        helper.make_graph([halves, both], "g", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 23)]
    )
    known = {"x": np.arange(4, dtype=np.float32), "left": np.zeros(2, np.float32)}
    np.testing.assert_array_equal(run(between(model, known, ["sum"]), known, ["sum"])["sum"], [2, 3])
