from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from exporter.quantize.centre_input import centre_input
from exporter.workshop.parity import compare
from tests.exporter.quantize.programs import Block, inputs, operators, output, rewritten, traced


def test_a_shift_goes_into_the_bias_and_products_of_one_input_share_it(tmp_path):
    seen = {}

    def rewrite(graph):
        for node in [node for node in graph.nodes if node.op == "MatMul" and isinstance(node.inputs[1], gs.Constant)]:
            centre_input(graph, node, 1.5, node.inputs[1].values)
        seen.update(operators(graph))

    program = traced(Block(), tmp_path / "fp32")
    centred = rewritten(program, rewrite, tmp_path / "centred")
    assert compare(output(program, inputs()), output(centred, inputs())).snr_db > 90
    assert seen["Sub"] == 3, "one for q, k and v, one for the projection without a bias, one for the head"


@pytest.mark.parametrize("wrong", [1.01, 0.0])
def test_the_sums_have_to_be_those_of_the_weight_that_multiplies(tmp_path, wrong):
    def rewrite(graph):
        node = next(node for node in graph.nodes if node.name.endswith("head/MatMul"))
        centre_input(graph, node, 1.5, node.inputs[1].values * np.float32(wrong))

    program = traced(Block(), tmp_path / "fp32")
    assert compare(output(program, inputs()), output(rewritten(program, rewrite, tmp_path / "c"), inputs())).snr_db < 60
