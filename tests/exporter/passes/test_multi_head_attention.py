from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from exporter.graphs.operators import count_operators
from exporter.passes.multi_head_attention import to_multi_head_attention
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.trace.onnx import trace
from tests.exporter.quantize.programs import Attending, Block, inputs, output, traced


def rewritten(program):
    model = onnx.load(program)
    found = to_multi_head_attention(model)
    onnx.checker.check_model(model)
    after = program.with_name("after.onnx")
    onnx.save(model, after)
    return found, after


PLAIN = {
    "plain": F.scaled_dot_product_attention,
    "with a scale": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3),
}


@pytest.mark.parametrize("name", PLAIN)
def test_it_computes_the_same_with_nothing_around_it(tmp_path, name):
    program = traced(Attending(PLAIN[name]), tmp_path)
    found, after = rewritten(program)
    assert found.done == found.there == 1
    before, now = count_operators(program), count_operators(after)
    assert now["MultiHeadAttention"] == {"fp32": 1} and not now.keys() & {"Attention", "Transpose", "Reshape"}
    assert before["MatMul" if "MatMul" in before else "Gemm"] == now["MatMul" if "MatMul" in now else "Gemm"]
    np.testing.assert_allclose(output(after, inputs()), output(program, inputs()), rtol=1e-5, atol=1e-6)


class Given(torch.nn.Module):
    """Attention whose keys and values are inputs: nothing in the graph makes them."""

    def forward(self, query, key, value):
        split = [x.unflatten(-1, (2, 8)).transpose(1, 2) for x in (query, key, value)]
        return F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(-2)


def test_inputs_of_the_graph_are_attended_to(tmp_path):
    specs = [TensorSpec("query", "float32", ("batch", "points", 16))]
    specs += [TensorSpec(name, "float32", ("batch", 9, 16)) for name in ("key", "value")]
    program = trace(PureModule("given", Given(), tuple(specs), (replace(specs[0], name="seen"),)), 23, tmp_path)
    found, after = rewritten(program)
    assert found == ("Attention", 1, 1)
    draw = np.random.default_rng(0)
    given = {s.name: draw.standard_normal((2, 5 if s is specs[0] else 9, 16)).astype(np.float32) for s in specs}
    expected = Given()(*map(torch.from_numpy, given.values())).numpy()
    np.testing.assert_allclose(output(after, given), expected, rtol=1e-5, atol=1e-6)


def test_what_comes_after_it_keeps_its_type(tmp_path):
    _, after = rewritten(traced(Block(), tmp_path))
    assert not any("of unknown type" in counts for counts in count_operators(after).values())


def test_shapes_that_nothing_reads_are_gone(tmp_path):
    _, after = rewritten(traced(Attending(F.scaled_dot_product_attention), tmp_path))
    graph = onnx.load(after).graph
    read = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= read


def written_out(q, k, v):
    return torch.softmax(q @ k.transpose(-1, -2) / 4, -1) @ v


def test_one_that_is_written_as_products_is_counted_and_stays(tmp_path):
    program = traced(Attending(written_out), tmp_path)
    found, after = rewritten(program)
    assert (found.done, found.there) == (0, 1) and onnx.load(after) == onnx.load(program)


OTHERS = {
    "causal": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "masked": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=torch.zeros(q.shape[2], k.shape[2])),
    "read elsewhere": lambda q, k, v: F.scaled_dot_product_attention(q, k, v) + q,
}


@pytest.mark.parametrize("name", OTHERS)
def test_others_stay(tmp_path, name):
    program = traced(Attending(OTHERS[name]), tmp_path)
    found, after = rewritten(program)
    assert found.done == 0 and onnx.load(after) == onnx.load(program)
    assert found.there == (name == "read elsewhere")
