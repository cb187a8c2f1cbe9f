from __future__ import annotations

import pytest

from exporter.quantize.dynamic import DynamicWriter
from exporter.quantize.rounding import per_channel
from exporter.workshop.parity import compare
from tests.exporter.quantize.programs import Batched, Rows, inputs, operators, output, rewritten, traced


def in_dynamic_int8(graph):
    writer = DynamicWriter(graph)
    for node in [node for node in graph.nodes if node.op == "MatMul"]:
        writer.linear(node, *per_channel(node.inputs[1].values))
    assert operators(graph)["MatMulInteger"] == 1 and operators(graph)["MatMul"] == 0


@pytest.mark.parametrize("module", [Rows(), Batched()], ids=["matrix", "batched"])
def test_small_channels_and_matrices_are_as_close_as_large_ones(tmp_path, module):
    program = traced(module, tmp_path / "fp32")
    quantized = rewritten(program, in_dynamic_int8, tmp_path / "int8")
    assert quantized.stat().st_size < 0.5 * program.stat().st_size
    expected, found = output(program, inputs()), output(quantized, inputs())
    parts = range(48) if isinstance(module, Rows) else range(8)
    pick = (lambda a, i: a[..., i]) if isinstance(module, Rows) else (lambda a, i: a[:, i])
    assert min(compare(pick(expected, i), pick(found, i)).snr_db for i in parts) > 30
