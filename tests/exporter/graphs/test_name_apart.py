from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from exporter.graphs.graph_file import save_graph
from exporter.graphs.name_apart import free_name, name_apart
from exporter.graphs.sound import require_sound


def variable(name):
    return gs.Variable(name, np.dtype(np.float32), [2])


def chain():
    """x -> Neg -> y -> Neg -> y (another) -> Neg -> z, with two nodes of one name."""
    x, first, second, z = variable("x"), variable("y"), variable("y"), variable("z")
    nodes = [
        gs.Node("Neg", "a", inputs=[x], outputs=[first]),
        gs.Node("Neg", "b", inputs=[first], outputs=[second]),
        gs.Node("Neg", "b", inputs=[second], outputs=[z]),
    ]
    return gs.Graph(nodes, [x], [z], name="g", opset=20)


def test_tensors_and_nodes_that_met_in_a_name_are_told_apart():
    graph = chain()
    name_apart(graph)
    assert [node.name for node in graph.nodes] == ["a", "b", "b_2"]
    assert [node.outputs[0].name for node in graph.nodes] == ["y", "y_2", "z"]


def test_the_graphs_own_outputs_keep_their_names():
    graph = chain()
    graph.outputs[0].name = "y"
    name_apart(graph)
    assert [node.outputs[0].name for node in graph.nodes] == ["y_2", "y_3", "y"]


def test_a_saved_graph_whose_passes_met_in_a_name_is_sound(tmp_path):
    graph = chain()
    graph.ir_version = 10
    require_sound(save_graph(graph, tmp_path), "save")


def test_a_free_name_is_the_wish_where_it_is_free():
    assert free_name("x", {"y"}) == "x"
    assert free_name("x", {"x", "x_2"}) == "x_3"
