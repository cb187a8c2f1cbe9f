from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
import pytest

from exporter.parity import compare
from exporter.quantize.graph_file import prepared, save_graph
from exporter.quantize.layers import find_layers
from exporter.quantize.smooth import ALPHAS, fold, groups, search_alpha, smoothing
from exporter.quantize.weights import dequantize, per_channel
from tests.exporter.quantize.programs import WIDTH, Block, inputs, output, traced


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


def test_layers_are_grouped_by_the_norm_that_only_they_read(program):
    graph = prepared(program)
    (group,) = groups(graph, find_layers(graph))
    assert [layer.name.rpartition(".")[2] for layer in group.layers] == [
        "text_encoder/to_q",
        "text_encoder/to_k",
        "text_encoder/to_v",
    ]
    assert group.norm == "text_encoder/norm/LayerNormalization"


def test_a_norm_that_others_read_too_is_no_group(program):
    graph = prepared(program)
    (group,) = groups(graph, find_layers(graph))
    assert not groups(graph, [layer for layer in find_layers(graph) if layer.name != group.layers[1].name])
    graph.outputs.append(graph.tensors()[group.input])
    assert not groups(graph, find_layers(graph))


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_folding_moves_the_range_and_keeps_the_output(program, tmp_path, shared):
    graph = prepared(program)
    (group,) = groups(graph, find_layers(graph))
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
