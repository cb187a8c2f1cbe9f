from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from exporter.graphs.program_files import copy_program, external_files, rewrite_program
from exporter.graphs.rewrites import Rewritten, read_rewrites


def with_external_weight(program):
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in "xy"]
    weight = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", value[:1], value[1:], [weight])
    onnx.save(helper.make_model(graph), program, save_as_external_data=True, location="w.bin", size_threshold=0)
    return program


def to_mul(model):
    model.graph.node[0].op_type = "Mul"
    return Rewritten("Add", 1, 1)


def test_a_copied_program_can_be_read_copied_and_read_again(tmp_path):
    program = with_external_weight(tmp_path / "program.onnx")
    first = copy_program(program, tmp_path / "first")
    second = copy_program(first, tmp_path / "second")
    assert external_files(onnx.load(second, load_external_data=False)) == ["w.bin"]
    for path in (program, first, second):
        onnx.checker.check_model(path)
        assert numpy_helper.to_array(onnx.load(path).graph.initializer[0])[3] == 3


def test_a_rewritten_program_keeps_its_external_weights(tmp_path):
    program = with_external_weight(tmp_path / "program.onnx")
    rewrite_program(program, to_mul)
    assert external_files(onnx.load(program, load_external_data=False)) == ["w.bin"]
    graph = onnx.load(program).graph
    assert graph.node[0].op_type == "Mul" and numpy_helper.to_array(graph.initializer[0])[3] == 3


def test_a_program_in_which_nothing_was_found_is_left_as_it_is(tmp_path):
    program = with_external_weight(tmp_path / "program.onnx")
    before = program.read_bytes()

    def to_none(model):
        to_mul(model)
        return Rewritten("Add", 0, 1)

    rewrite_program(program, to_none)
    assert program.read_bytes() == before
    assert list(map(str, read_rewrites(tmp_path))) == ["to_none rewrote 0 of 1 Add"]
