from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from exporter.graphs.graph_file import save_graph
from exporter.quantize.layers import find_layers
from exporter.quantize.prepared import prepared
from exporter.quantize.rounding import dequantize, per_channel
from exporter.quantize.smooth import ALPHAS, fold, groups, search_alpha, smoothing
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from tests.exporter.quantize.programs import WIDTH, Block, inputs, output, traced
from tests.exporter.tiny import pure_module


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return traced(Block(), tmp_path_factory.mktemp("fp32"))


def outliers(channels=64, rows=4000, size=60.0):
    """Inputs of which a few channels are far larger, and a weight."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, channels)).astype(np.float32)
    x[:, :3] *= size
    return x, random.standard_normal((channels, 48)).astype(np.float32)


def int8_snr(x, weight, factors):
    """dB of the product in W8A8: one scale for the activations, one for each channel of the weight."""
    divided, multiplied = x / factors, weight * factors[:, None]
    step = np.abs(divided).max() / 127
    product = (np.rint(divided / step) * step) @ dequantize(*per_channel(multiplied))
    return compare(x @ weight, product).snr_db


def searched(x, weight):
    return search_alpha(np.abs(x).max(axis=0), np.square(x).sum(axis=0), len(x), [weight])


def test_alpha_says_which_side_is_evened_out():
    x, weight = outliers()
    largest = np.abs(x).max(axis=0)
    np.testing.assert_allclose(largest / smoothing(largest, [weight], 1.0), 1, rtol=1e-5)
    rows = np.abs(weight * smoothing(largest, [weight], 0.0)[:, None]).max(axis=1)
    np.testing.assert_allclose(rows, 1, rtol=1e-5)


def test_the_largest_weight_of_all_readers_counts():
    maximum, small, large = np.ones(4, np.float32), np.ones((4, 2), np.float32), np.full((2, 4, 3), 9, np.float32)
    np.testing.assert_allclose(smoothing(maximum, [small, large], 0.5), 1 / 3)


@pytest.mark.parametrize("dead", ["activation", "weight", "both", "all"])
def test_channels_without_a_range_get_factors_that_can_be_divided_by(dead):
    maximum, weight = np.linspace(1, 9, 8, dtype=np.float32), np.ones((8, 3), np.float32)
    rows = slice(None) if dead == "all" else slice(2, 4)
    if dead != "weight":
        maximum[rows] = 0
    if dead != "activation":
        weight[rows] = 0
    for alpha in ALPHAS:
        factors = smoothing(maximum, [weight], alpha)
        assert np.isfinite(factors).all() and (factors > 0).all() and np.isfinite(1 / factors).all()


def test_the_search_finds_an_alpha_as_good_as_trying_them_all():
    x, weight = outliers()
    alpha, factors = searched(x, weight)
    best = max(int8_snr(x, weight, smoothing(np.abs(x).max(axis=0), [weight], a)) for a in ALPHAS)
    assert alpha is not None and int8_snr(x, weight, factors) > best - 0.3
    assert int8_snr(x, weight, factors) > int8_snr(x, weight, np.ones_like(factors)) + 6


def test_the_search_leaves_alone_what_it_cannot_help():
    x, weight = outliers(size=1.0)
    alpha, factors = searched(np.sign(x), np.sign(weight))
    assert alpha is None and (factors == 1).all()


def by_source(graph, layers=None):
    found = groups(graph, find_layers(graph) if layers is None else layers)
    return {group.source: [layer.name.rpartition("/")[2] for layer in group.layers] for group in found}


NORM, VALUES = "text_encoder/norm/LayerNormalization", "text_encoder/to_v/MatMul"


def test_layers_are_grouped_by_what_makes_their_input_for_them_alone(program):
    assert by_source(prepared(program)) == {NORM: ["to_q", "to_k", "to_v"], VALUES: ["out"]}


def test_the_values_of_primitive_attention_are_found_too(tmp_path):
    assert by_source(prepared(traced(Block(), tmp_path, opset=20)))[VALUES] == ["out"]


def test_what_others_read_too_is_no_group(program):
    graph = prepared(program)
    layers = find_layers(graph)
    assert NORM not in by_source(graph, [layer for layer in layers if not layer.name.endswith("to_k")])
    norm, values = (next(node for node in graph.nodes if node.name == name) for name in (NORM, VALUES))
    graph.outputs += [norm.outputs[0], values.outputs[0]]
    graph.nodes.append(gs.Node("Identity", "i", inputs=[values.outputs[0]], outputs=[gs.Variable("i", np.float32)]))
    assert by_source(graph) == {}


def test_behind_the_mixing_of_guidance_the_head_is_smoothed(tiny, tmp_path):
    found = by_source(prepared(trace(pure_module(tiny, "denoiser"), 23, tmp_path)))
    assert found["denoiser/prior.norm_out/LayerNormalization"] == ["proj_to_clip_embeddings"]
    blocks = [source for source in found if source.endswith("attn1.to_v/MatMul")]
    assert blocks and all(found[source][0].endswith("attn1.to_out.0") for source in blocks)


@pytest.mark.parametrize("index", [0, 1], ids=["norm", "values"])
def test_folding_any_group_keeps_the_output(program, tmp_path, index):
    graph = prepared(program)
    fold(graph, groups(graph, find_layers(graph))[index], np.logspace(-2, 2, WIDTH).astype(np.float32))
    assert compare(output(program, inputs()), output(save_graph(graph, tmp_path), inputs())).snr_db > 100


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_folding_moves_the_range_and_keeps_the_output(program, tmp_path, shared):
    graph = prepared(program)
    group = groups(graph, find_layers(graph))[0]
    scale = graph.tensors()[group.input].inputs[0].inputs[1]
    if shared:
        kept = gs.Variable("kept", np.dtype(np.float32), (WIDTH,))
        graph.nodes.append(gs.Node("Identity", "identity", inputs=[scale], outputs=[kept]))
        graph.outputs.append(kept)
    before = scale.values.copy()
    factors = np.logspace(-2, 2, WIDTH).astype(np.float32)
    fold(graph, group, factors)
    norm = graph.tensors()[group.input].inputs[0]
    np.testing.assert_allclose(norm.inputs[1].values, before / factors, rtol=1e-5)
    if shared:
        np.testing.assert_array_equal(scale.values, before)
    folded = save_graph(graph, tmp_path)
    assert compare(output(program, inputs()), output(folded, inputs())).snr_db > 100
