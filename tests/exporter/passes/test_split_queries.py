from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from exporter.backends.web.web_backend import web_operators
from exporter.graphs.bodies import all_graphs
from exporter.graphs.operators import count_operators
from exporter.passes.split_queries import split_queries
from exporter.pipeline.tensor import POINTS_AT_ONCE
from tests.exporter.quantize.programs import Attending, Block, inputs, output, traced

# Of two heads with eight keys.
SCORES_OF_A_QUERY = 16


def rewritten(program, at_once):
    model = onnx.load(program)
    found = split_queries(model, at_once * SCORES_OF_A_QUERY)
    onnx.checker.check_model(model, full_check=True)
    after = program.with_name("after.onnx")
    onnx.save(model, after)
    return found, after


def kinds(program):
    return Counter(node.op_type for graph in all_graphs(onnx.load(program).graph) for node in graph.node)


PLAIN = {
    "plain": F.scaled_dot_product_attention,
    "with a scale": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3),
    "read elsewhere": lambda q, k, v: F.scaled_dot_product_attention(q, k, v) + q,
}


@pytest.mark.parametrize("name", PLAIN)
def test_pieces_give_the_same_to_the_bit(tmp_path, name):
    program = traced(Attending(PLAIN[name]), tmp_path)
    for at_once, pieces in ((4, 2), (3, 3), (2, 4)):
        found, after = rewritten(program, at_once)
        assert found.done == found.there == 1 and kinds(after)["Attention"] == pieces
        for batch in (1, 3):
            np.testing.assert_array_equal(output(after, inputs(batch)), output(program, inputs(batch)))


def test_there_is_a_query_in_every_piece(tmp_path):
    program = traced(Attending(PLAIN["plain"]), tmp_path)
    _, after = rewritten(program, 0)
    assert kinds(after)["Attention"] == 8
    # A product of one row has a kernel of its own, which adds up in another order.
    np.testing.assert_allclose(output(after, inputs()), output(program, inputs()), rtol=1e-5, atol=1e-6)


LOOP = """
<ir_version: 10, opset_import: ["" : 23]>
g (float[batch, 2, 7, 8] x) => (float[batch, 2, 7, 8] y) {
    count = Constant <value_int = 3> ()
    always = Constant <value = bool {1}> ()
    y = Loop (count, always, x) <body = body (int64 i, bool again, float[batch, 2, 7, 8] before)
        => (bool more, float[batch, 2, 7, 8] after) {
        more = Identity (again)
        doubled = Add (before, before)
        after = Attention (doubled, before, doubled)
    }>
}"""


def test_attention_in_the_body_of_a_loop_is_split(tmp_path):
    program = tmp_path / "program.onnx"
    onnx.save(onnx.parser.parse_model(LOOP), program)
    found, after = rewritten(program, 4)
    assert found.done == found.there == 1 and kinds(after)["Attention"] == 2
    x = {"x": np.random.default_rng(0).standard_normal((3, 2, 7, 8), np.float32)}
    np.testing.assert_array_equal(output(after, x), output(program, x))


FIELD = """
<ir_version: 10, opset_import: ["" : 23]>
g (float[batch, 2, points, 8] x, float[batch, 2, 24, 8] k) => (float[batch, 2, points, 8] y) {
    y = Attention (x, k, k)
}"""


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Any number of points among 24 keys of two heads."""
    program = tmp_path_factory.mktemp("field") / "program.onnx"
    onnx.save(onnx.parser.parse_model(FIELD), program)
    return program


@pytest.mark.parametrize("points", [1, 2, 5, 15, 16, 17, 100, 256])
def test_any_number_of_points_is_split(field, points):
    most = 2 * 24 * 256
    model = onnx.load(field)
    assert split_queries(model, most).done == 1
    onnx.checker.check_model(model, full_check=True)
    after = field.with_name("after.onnx")
    onnx.save(model, after)
    assert kinds(after)["Attention"] == POINTS_AT_ONCE // 256
    draw = np.random.default_rng(points)
    x = {name: draw.standard_normal((2, 2, n, 8), np.float32) for name, n in (("x", points), ("k", 24))}
    np.testing.assert_allclose(output(after, x), output(field, x), rtol=1e-5, atol=1e-6)


def test_points_that_make_few_scores_stay(field):
    assert split_queries(onnx.load(field), 2 * 24 * POINTS_AT_ONCE).done == 0
    assert split_queries(onnx.load(field), 2 * 24 * POINTS_AT_ONCE - 1).done == 1


def test_what_is_added_to_split_points_is_there_in_the_web():
    added = {"Shape", "Neg", "Mod", "Concat", "Pad", "Split", "Slice", "Constant"}
    assert added <= set(web_operators()["operators"]) | {"Constant"}


def test_what_comes_after_them_keeps_its_type(tmp_path):
    _, after = rewritten(traced(Block(), tmp_path), 3)
    assert not any("of unknown type" in counts for counts in count_operators(after).values())


def test_one_that_makes_few_scores_stays(tmp_path):
    program = traced(Block(), tmp_path)
    for found, after in (rewritten(program, 8), (split_queries(onnx.load(program)), program)):
        assert found.done == 0 and onnx.load(after) == onnx.load(program)


OTHERS = {
    "causal": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "masked": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=torch.zeros(q.shape[2], k.shape[2])),
}


@pytest.mark.parametrize("name", OTHERS)
def test_one_with_a_mask_stays(tmp_path, name):
    program = traced(Attending(OTHERS[name]), tmp_path)
    found, after = rewritten(program, 3)
    assert found.done == 0 and onnx.load(after) == onnx.load(program)
