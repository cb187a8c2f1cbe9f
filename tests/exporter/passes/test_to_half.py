from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from exporter.errors import ValidationFailed
from exporter.graphs.bodies import all_graphs
from exporter.graphs.graph_file import read_graph, save_graph
from exporter.graphs.tensor_types import tensor_types
from exporter.passes.to_half import to_half
from exporter.quantize.grid import IntegerGrid
from exporter.quantize.integer_product import IntegerQdqWriter
from exporter.quantize.rounding import per_channel
from exporter.workshop.parity import compare
from tests.exporter.quantize.programs import Block, inputs, output, rewritten, traced


def in_half(program, folder):
    graph = read_graph(program)
    to_half(graph, tensor_types(onnx.load(program)))
    return save_graph(graph, folder)


def in_int8(graph):
    writer = IntegerQdqWriter(graph)
    for node in [node for node in graph.nodes if node.op == "MatMul" and node.inputs[1].name.endswith("weight")]:
        threshold = 4.0 if "/to_" in node.name else 1.0
        writer.linear(node, IntegerGrid.around_zero(threshold), *per_channel(node.inputs[1].values))


def test_the_network_is_half_and_its_inputs_and_outputs_are_not(tmp_path):
    program = traced(Block(), tmp_path / "fp32")
    half = in_half(program, tmp_path / "fp16")
    model = onnx.load(half)
    onnx.checker.check_model(model, full_check=True)
    ends = [*model.graph.input, *model.graph.output]
    assert {value.type.tensor_type.elem_type for value in ends} == {onnx.TensorProto.FLOAT}
    floats = [tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    assert not [name for name in floats if name.endswith(("weight", "bias"))]
    assert half.stat().st_size < 0.7 * program.stat().st_size
    assert 50 < compare(output(program, inputs()), output(half, inputs())).snr_db < 90


def test_scales_have_the_type_of_what_they_scale_and_the_same_integers_remain(tmp_path):
    program = rewritten(traced(Block(), tmp_path / "fp32"), in_int8, tmp_path / "int8")
    half = in_half(program, tmp_path / "fp16")
    types = tensor_types(onnx.load(half))
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(half).graph.initializer}
    for node in onnx.load(half).graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert stored[node.input[1]] == onnx.TensorProto.FLOAT16
            real = node.input[0] if node.op_type == "QuantizeLinear" else node.output[0]
            assert types[real] == onnx.TensorProto.FLOAT16
    integers = [{t.name: t for t in onnx.load(p).graph.initializer if t.data_type == 3} for p in (program, half)]
    assert integers[0].keys() == integers[1].keys() and len(integers[0]) > 5
    assert all(integers[0][name].raw_data == integers[1][name].raw_data for name in integers[0])
    assert compare(output(program, inputs()), output(half, inputs())).snr_db > 33


LOOP = """
<ir_version: 10, opset_import: ["" : 23]>
g (float[2, 4] x) => (float[2, 4] y) <float[4] w = {1, 2, 3, 4}> {
    count = Constant <value_int = 3> ()
    always = Constant <value = bool {1}> ()
    wide = Mul (x, w)
    looped = Loop (count, always, wide) <body = body (int64 i, bool again, float[2, 4] before)
        => (bool more, float[2, 4] after) {
        more = Identity (again)
        after = Add (before, wide)
    }>
    y = Tanh (looped)
}"""


def test_a_loop_inside_the_network_stays_in_float32_and_is_counted(tmp_path):
    program, model = tmp_path / "program.onnx", onnx.parser.parse_model(LOOP)
    for node in (node for graph in all_graphs(model.graph) for node in graph.node):
        node.name = f"stage/module/{node.op_type}"
    onnx.save(model, program)
    graph = read_graph(program)
    assert to_half(graph, tensor_types(onnx.load(program))) == ("nodes of the network", 4, 5)
    half = save_graph(graph, tmp_path / "half")
    onnx.checker.check_model(half, full_check=True)
    x = {"x": np.full((2, 4), 0.01, np.float32)}
    np.testing.assert_allclose(output(half, x), output(program, x), atol=1e-3)


def test_a_weight_beyond_the_range_is_named(tmp_path):
    program = traced(Block(), tmp_path / "fp32")
    graph = read_graph(program)
    graph.tensors()["norm.weight"].values = np.full(32, 1e6, np.float32)
    with pytest.raises(ValidationFailed, match=r"'norm.weight' holds 1e\+06"):
        to_half(graph, tensor_types(onnx.load(program)))


class Encoding(torch.nn.Module):
    """Sines of thousands of radians, inside a module."""

    class Inner(torch.nn.Module):
        def forward(self, x):
            return torch.sin(x * 2.0**14)

    def __init__(self):
        super().__init__()
        self.inner = self.Inner()

    def forward(self, x):
        return self.inner(x)


def test_angles_keep_their_precision(tmp_path):
    program = traced(Encoding(), tmp_path / "fp32")
    assert compare(output(program, inputs()), output(in_half(program, tmp_path / "fp16"), inputs())).snr_db > 60
