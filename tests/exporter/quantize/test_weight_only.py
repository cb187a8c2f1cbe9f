from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest

from exporter.backends.onnxruntime.fusion import optimized
from exporter.errors import RecipeError, ValidationFailed
from exporter.graphs.graph_file import read_graph, save_graph
from exporter.quantize.layers import find_layers
from exporter.quantize.weight_only import replace_weight
from exporter.recipe.policy import Rule
from exporter.workshop.parity import compare
from tests.exporter.quantize.programs import Batched, Block, inputs, output, rewritten, traced


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return {kind: traced(kind(), tmp_path_factory.mktemp("fp32")) for kind in (Block, Batched)}


def rule(precision, **settings):
    return Rule(layers="*", precision=precision, **settings)


def replacing(chosen, operator="linear", gram=None):
    def rewrite(graph):
        for layer in find_layers(graph):
            if layer.operator == operator and layer.weight:
                replace_weight(graph, layer, chosen, gram)

    return rewrite


def product(rows, columns, opset=23):
    """A program of one product, y = x · w."""
    weight = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    x, y = (gs.Variable(name, np.dtype(np.float32), ("batch", size)) for name, size in (("x", rows), ("y", columns)))
    node = gs.Node("MatMul", "s/m/MatMul", inputs=[x, gs.Constant("m.weight", weight)], outputs=[y])
    graph = gs.Graph([node], [x], [y], name="s", opset=opset)
    graph.ir_version = 10
    return graph, weight


def operators(path):
    return {node.op_type for node in optimized(path).graph.node}


@pytest.mark.parametrize(
    ("chosen", "least_db"),
    [
        (rule("fp16"), 65),
        (rule("int8_weights"), 38),
        (rule("int8_weights", block=128), 36),
        (rule("int4_weights"), 19),
        (rule("int4_weights", block=16), 20),
        (rule("palette", bits=6), 28),
        (rule("palette", bits=3), 12),
    ],
    ids=lambda value: f"{value.precision}-{value.block or value.bits}" if isinstance(value, Rule) else "",
)
@pytest.mark.parametrize("kind", [Block, Batched])
def test_the_program_computes_nearly_what_it_did(programs, tmp_path, kind, chosen, least_db):
    stored = rewritten(programs[kind], replacing(chosen), tmp_path)
    onnx.checker.check_model(stored)
    assert compare(output(programs[kind], inputs()), output(stored, inputs())).snr_db > least_db


@pytest.mark.parametrize("precision", ["int4_weights", "int8_weights"])
@pytest.mark.parametrize(("rows", "columns", "block"), [(64, 48, 32), (40, 5, 16), (33, 3, 32), (24, 8, 64)])
def test_onnx_runtime_multiplies_blocks_as_they_are_stored(tmp_path, precision, rows, columns, block):
    graph, weight = product(rows, columns)
    replace_weight(graph, find_layers(graph)[0], rule(precision, block=block))
    stored = save_graph(graph, tmp_path)
    assert operators(stored) == {"MatMulNBits"}
    x = np.random.default_rng(1).standard_normal((7, rows)).astype(np.float32)
    assert compare(x @ weight, output(stored, {"x": x})).snr_db > (17 if precision == "int4_weights" else 35)


@pytest.mark.parametrize("chosen", [rule("int4_weights"), rule("int8_weights"), rule("palette", bits=3), rule("fp16")])
def test_what_onnx_runtime_cannot_multiply_is_restored_at_load(programs, tmp_path, chosen):
    stored = rewritten(programs[Batched], replacing(chosen), tmp_path)
    assert operators(stored) <= {"MatMul", "Transpose", "FusedMatMul"}


@pytest.mark.parametrize(
    ("chosen", "bits"),
    [
        (rule("fp16"), 16),
        (rule("int8_weights"), 8.8),
        (rule("int4_weights"), 4.6),
        (rule("int4_weights", block=64), 4.35),
        (rule("palette", bits=3), 3.1),
        (rule("palette", bits=2), 2.1),
    ],
    ids=str,
)
def test_a_weight_takes_few_bits(tmp_path, chosen, bits):
    graph, weight = product(256, 512)
    replace_weight(graph, find_layers(graph)[0], chosen)
    model = onnx.load(save_graph(graph, tmp_path))
    assert 8 * sum(len(tensor.raw_data) for tensor in model.graph.initializer) / weight.size <= bits


def test_four_bits_survive_another_rewrite(tmp_path):
    graph, _ = product(64, 48)
    replace_weight(graph, find_layers(graph)[0], rule("int4_weights"))
    first = save_graph(graph, tmp_path / "a")
    second = save_graph(read_graph(first), tmp_path / "b")
    x = {"x": np.ones((1, 64), np.float32)}
    np.testing.assert_array_equal(output(first, x), output(second, x))
    assert onnx.TensorProto.INT4 in {tensor.data_type for tensor in onnx.load(second).graph.initializer}


def test_a_gram_matrix_makes_the_output_closer(tmp_path):
    mixing = np.random.default_rng(3).standard_normal((64, 64)) * np.logspace(0, -1.5, 64)[:, None]
    x = (np.random.default_rng(2).standard_normal((500, 64)) @ mixing).astype(np.float32)
    found = []
    for gram in (None, x.T @ x):
        graph, weight = product(64, 48)
        replace_weight(graph, find_layers(graph)[0], rule("int4_weights"), gram)
        found.append(compare(x @ weight, output(save_graph(graph, tmp_path), {"x": x})).snr_db)
    assert found[1] > found[0] + 2


def test_every_reader_of_a_table_reads_the_stored_one(programs, tmp_path):
    def rewrite(graph):
        other = gs.Variable("positions_again", np.dtype(np.float32))
        table = next(layer for layer in find_layers(graph) if layer.operator == "table")
        graph.nodes.append(gs.Node("Identity", "again", inputs=[graph.tensors()[table.weight]], outputs=[other]))
        graph.outputs.append(other)
        replace_weight(graph, table, rule("fp16").model_copy(update={"operator": "table"}))

    stored = read_graph(rewritten(programs[Block], rewrite, tmp_path))
    assert stored.tensors()["positions_again"].inputs[0].inputs[0].inputs[0].op == "Cast"
    assert "positions" not in stored.tensors()


def test_rows_of_a_half_table_are_cast_when_they_are_gathered(tmp_path):
    """Cast as a whole at load, an embedding would take its size in float32 beside what is stored."""
    table = np.random.default_rng(0).standard_normal((300, 64)).astype(np.float32)
    ids, rows = gs.Variable("ids", np.dtype(np.int64), ("n",)), gs.Variable("rows", np.dtype(np.float32), ("n", 64))
    gather = gs.Node("Gather", "s/embedding/Gather", {"axis": 0}, [ids, gs.Constant("table", table)][::-1], [rows])
    graph = gs.Graph([gather], [ids], [rows], name="s", opset=23)
    graph.ir_version = 10
    replace_weight(graph, find_layers(graph)[0], rule("fp16").model_copy(update={"operator": "table"}))
    stored = save_graph(graph, tmp_path)
    found = output(stored, {"ids": np.array([7, 0, 299])})
    np.testing.assert_array_equal(found, table[[7, 0, 299]].astype(np.float16).astype(np.float32))
    loaded = optimized(stored).graph
    assert [tensor.data_type for tensor in loaded.initializer] == [onnx.TensorProto.FLOAT16]


def test_a_weight_that_another_node_reads_stays_for_that_node(tmp_path):
    graph, weight = product(64, 48)
    copy = gs.Variable("copy", np.dtype(np.float32), (64, 48))
    graph.nodes.append(gs.Node("Identity", "identity", inputs=[graph.nodes[0].inputs[1]], outputs=[copy]))
    graph.outputs.insert(0, copy)
    replace_weight(graph, find_layers(graph)[0], rule("palette", bits=1))
    np.testing.assert_array_equal(output(save_graph(graph, tmp_path), {"x": np.ones((1, 64), np.float32)}), weight)


def test_blocks_need_an_opset_that_has_them():
    graph, _ = product(64, 48, opset=20)
    with pytest.raises(RecipeError, match=r"s/m: int4_weights needs block scales.* opset 21.* have opset 20; choose"):
        replace_weight(graph, find_layers(graph)[0], rule("int4_weights"))


def test_a_weight_beyond_half_precision_is_named():
    graph, weight = product(64, 48)
    weight[3, 3] = 1e5
    with pytest.raises(ValidationFailed, match=r"m\.weight: holds 1e\+05, and half precision ends at 65504"):
        replace_weight(graph, find_layers(graph)[0], rule("fp16"))
