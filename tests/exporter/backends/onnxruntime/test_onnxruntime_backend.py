from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from exporter.backends.known import backend_of
from exporter.backends.onnxruntime.onnxruntime_backend import compile_for_processor, compile_program
from exporter.errors import RecipeError, ValidationFailed
from exporter.quantize.grid import IntegerGrid
from exporter.quantize.qdq import QdqWriter
from exporter.quantize.quantizer import LayerReport
from exporter.quantize.rounding import per_channel
from exporter.targets.target import load_target
from tests.exporter.quantize.programs import Block, inputs, output, rewritten, traced


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
    compiled = compile_program(path, [], out)
    assert compiled.read_bytes() == path.read_bytes() and compiled.parent == out


def test_a_program_whose_quantized_layers_stay_in_floating_point_is_refused(tmp_path):
    def of_unknown_rank(graph):
        node = next(node for node in graph.nodes if node.name.endswith("head/MatMul"))
        node.inputs[0].shape = None
        QdqWriter(graph).linear(node, IntegerGrid.around_zero(4.0), *per_channel(node.inputs[1].values))

    path = rewritten(traced(Block(), tmp_path / "fp32"), of_unknown_rank, tmp_path / "int8")
    layers = [LayerReport("text_encoder/head", "linear", "int8")]
    with pytest.raises(ValidationFailed, match="leaves 1 of 1 quantized products in floating point"):
        compile_program(path, layers, tmp_path / "out")


def test_on_a_processor_attention_is_onnx_runtimes_own_operator(tmp_path):
    path = traced(Block(), tmp_path / "fp32")
    compiled = compile_for_processor(path, [], tmp_path / "out")
    kinds = {node.op_type for node in onnx.load(compiled).graph.node}
    assert "MultiHeadAttention" in kinds and "Attention" not in kinds
    np.testing.assert_allclose(output(compiled, inputs()), output(path, inputs()), rtol=1e-5, atol=1e-6)
    assert "Attention" in {node.op_type for node in onnx.load(compile_program(path, [], tmp_path / "plain")).graph.node}


def test_a_backend_without_a_compiler_is_refused():
    abacus = load_target("cpu").model_copy(update={"name": "board", "backend": "abacus"})
    with pytest.raises(RecipeError, match="target 'board': the backend 'abacus' cannot be built for"):
        backend_of(abacus)
