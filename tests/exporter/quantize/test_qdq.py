from __future__ import annotations

import numpy as np
import onnx
import pytest

from exporter.backends.onnxruntime.fusion import optimized
from exporter.quantize.grid import IntegerGrid
from exporter.quantize.integer_product import IntegerQdqWriter
from exporter.quantize.qdq import QdqWriter
from exporter.quantize.rounding import per_channel
from exporter.workshop.parity import compare
from tests.exporter.quantize.programs import Batched, Block, Rows, inputs, operators, output, rewritten, traced


def in_int8(threshold, writer_of=IntegerQdqWriter):
    def rewrite(graph):
        writer = writer_of(graph)
        for node in [node for node in graph.nodes if node.op == "MatMul" and node.inputs[1].name.endswith("weight")]:
            writer.linear(node, IntegerGrid.around_zero(threshold), *per_channel(node.inputs[1].values))

    return rewrite


@pytest.mark.parametrize("writer", [IntegerQdqWriter, QdqWriter])
@pytest.mark.parametrize("module", [Rows(), Batched()], ids=["matrix", "batched"])
def test_small_channels_and_matrices_are_as_close_as_large_ones(tmp_path, module, writer):
    program = traced(module, tmp_path / "fp32")
    quantized = rewritten(program, in_int8(4.0, writer), tmp_path / "int8")
    expected, found = output(program, inputs()), output(quantized, inputs())
    parts = range(48) if isinstance(module, Rows) else range(8)
    pick = (lambda a, i: a[..., i]) if isinstance(module, Rows) else (lambda a, i: a[:, i])
    assert min(compare(pick(expected, i), pick(found, i)).snr_db for i in parts) > 28


def test_values_beyond_the_threshold_are_clipped(tmp_path):
    program = traced(Rows(), tmp_path / "fp32")
    quantized = rewritten(program, in_int8(0.5), tmp_path / "int8")
    clipped = {"x": inputs()["x"].clip(-0.5, 0.5)}
    assert compare(output(program, clipped), output(quantized, inputs())).snr_db > 28


def test_a_tensor_is_quantized_once_and_dequantized_for_each_reader(tmp_path):
    seen = {}

    def rewrite(graph):
        in_int8(4.0)(graph)
        seen.update(operators(graph))

    rewritten(traced(Block(), tmp_path / "fp32"), rewrite, tmp_path / "int8")
    assert (seen["MatMul"], seen["MatMulInteger"], seen["QuantizeLinear"], seen["DequantizeLinear"]) == (4, 1, 3, 8)


@pytest.mark.parametrize("module", [Block(), Batched()], ids=["two dimensions", "batched"])
def test_plain_qdq_has_no_integer_operators_and_the_same_result(tmp_path, module):
    program = traced(module, tmp_path / "fp32")
    mixed = rewritten(program, in_int8(4.0), tmp_path / "mixed")
    plain = rewritten(program, in_int8(4.0, QdqWriter), tmp_path / "plain")
    assert "MatMulInteger" in {node.op_type for node in onnx.load(mixed).graph.node}
    model = onnx.load(plain)
    assert "MatMulInteger" not in {node.op_type for node in model.graph.node}
    assert all(t.data_type != onnx.TensorProto.UINT8 for t in model.graph.initializer)
    assert compare(output(mixed, inputs()), output(plain, inputs())).snr_db > 60


def test_several_matrices_have_one_scale_and_their_own_are_applied_to_the_product(tmp_path):
    plain = rewritten(traced(Batched(), tmp_path / "fp32"), in_int8(4.0, QdqWriter), tmp_path / "plain")
    shapes = {tensor.name: list(tensor.dims) for tensor in onnx.load(plain).graph.initializer}
    assert (shapes["weight_scale"], shapes["weight_shares"]) == ([], [8, 1, 48])


def test_onnx_runtime_multiplies_it_in_integers(tmp_path):
    quantized = rewritten(traced(Rows(), tmp_path / "fp32"), in_int8(4.0), tmp_path / "int8")
    kinds = {node.op_type for node in optimized(quantized).graph.node}
    assert "MatMulIntegerToFloat" in kinds and "MatMul" not in kinds


def test_an_activation_of_a_node_without_weight_is_rounded(tmp_path):
    def rewrite(graph):
        node = next(node for node in graph.nodes if node.op == "Gelu")
        QdqWriter(graph).activation(node, 0, IntegerGrid.around_zero(2.0))

    program = traced(Block(), tmp_path / "fp32")
    quantized = rewritten(program, rewrite, tmp_path / "int8")
    assert 25 < compare(output(program, inputs()), output(quantized, inputs())).snr_db < 80
    assert np.isfinite(output(quantized, inputs())).all()


@pytest.mark.parametrize("kind", [IntegerQdqWriter, QdqWriter])
def test_a_one_sided_grid_has_its_zero_point(tmp_path, kind):
    grid = IntegerGrid(-0.5, 4.0)

    def rewrite(graph):
        node = next(node for node in graph.nodes if node.op == "MatMul")
        kind(graph).linear(node, grid, *per_channel(node.inputs[1].values))

    program = traced(Rows(), tmp_path / "fp32")
    quantized = rewritten(program, rewrite, tmp_path / "int8")
    clipped = {"x": inputs()["x"].clip(grid.low, grid.high)}
    assert compare(output(program, clipped), output(quantized, inputs())).snr_db > 33
    assert "MatMulIntegerToFloat" in {node.op_type for node in optimized(quantized).graph.node}
