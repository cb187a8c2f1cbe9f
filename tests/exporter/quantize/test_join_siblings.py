from __future__ import annotations

import numpy as np

from exporter.graphs.graph_file import save_graph
from exporter.quantize.join_siblings import join_siblings
from exporter.quantize.prepared import prepared
from tests.exporter.quantize.programs import Block, inputs, operators, output, traced


def test_three_products_of_one_input_become_one(tmp_path):
    program = traced(Block(), tmp_path / "before")
    graph = prepared(program)
    before = operators(graph)
    siblings = [node for node in graph.nodes if node.name.endswith(("to_q/MatMul", "to_k/MatMul", "to_v/MatMul"))]
    joined = join_siblings(graph, siblings)
    assert joined.name == "text_encoder/to_q+to_k+to_v/MatMul"
    assert joined.inputs[1].shape == (32, 96)
    after = save_graph(graph, tmp_path / "after")
    assert before["MatMul"] - operators(graph)["MatMul"] == 2 and before["Add"] - operators(graph)["Add"] == 2
    np.testing.assert_allclose(output(after, inputs()), output(program, inputs()), rtol=1e-5, atol=1e-6)
