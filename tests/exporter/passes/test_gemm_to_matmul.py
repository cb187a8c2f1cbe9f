from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from exporter.graphs.bodies import all_graphs
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


LOOP = """
<ir_version: 10, opset_import: ["" : 23]>
g (float[2, 4] x) => (float[2, 4] y) <float[4, 4] own = {1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}> {
    count = Constant <value_int = 3> ()
    always = Constant <value = bool {1}> ()
    y = Loop (count, always, x) <body = body (int64 i, bool again, float[2, 4] before)
        => (bool more, float[2, 4] after) {
        more = Identity (again)
        after = Gemm (before, own)
    }>
}"""


def test_a_gemm_in_the_body_of_a_loop_is_rewritten(tmp_path):
    program = tmp_path / "program.onnx"
    onnx.save(onnx.parser.parse_model(LOOP), program)
    graph = read_graph(program)
    assert gemm_to_matmul(graph) == ("Gemm", 1, 1)
    after = save_graph(graph, tmp_path / "after")
    assert [node.op_type for inner in all_graphs(onnx.load(after).graph) for node in inner.node].count("Gemm") == 0
    x = {"x": np.random.default_rng(0).standard_normal((2, 4), np.float32)}
    np.testing.assert_allclose(output(after, x), output(program, x), rtol=1e-6)
