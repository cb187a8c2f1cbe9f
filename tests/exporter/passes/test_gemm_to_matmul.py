from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from exporter.graphs.graph_file import read_graph, save_graph
from exporter.passes.gemm_to_matmul import gemm_to_matmul
from tests.exporter.quantize.programs import Block, inputs, operators, output, traced


def test_a_gemm_becomes_a_product_and_a_sum_of_the_same_values(tmp_path):
    program = traced(Block(), tmp_path / "before")
    graph = read_graph(program)
    assert operators(graph)["Gemm"] == 1
    gemm_to_matmul(graph)
    assert operators(graph)["Gemm"] == 0
    assert {"text_encoder/head/MatMul", "text_encoder/head/Add"} <= {node.name for node in graph.nodes}
    after = save_graph(graph, tmp_path / "after")
    np.testing.assert_allclose(output(after, inputs()), output(program, inputs()), rtol=1e-5, atol=1e-6)


def test_a_gemm_with_factors_stays():
    x, y = gs.Variable("x", np.float32, (2, 3)), gs.Variable("y", np.float32, (2, 4))
    weight = gs.Constant("w", np.ones((3, 4), np.float32))
    node = gs.Node("Gemm", "g", {"alpha": 2.0}, inputs=[x, weight], outputs=[y])
    graph = gs.Graph([node], inputs=[x], outputs=[y])
    gemm_to_matmul(graph)
    assert [node.op for node in graph.nodes] == ["Gemm"]
