from __future__ import annotations

from exporter.quantize.layers import find_layers
from exporter.quantize.prepared import prepared
from tests.exporter.quantize.programs import Batched, Block, traced


def test_layers_are_named_as_their_modules_with_the_weight_they_use(tmp_path):
    found = find_layers(prepared(traced(Block(), tmp_path)))
    assert {layer.operator for layer in found} == {"linear", "norm", "table", "attention", "activation"}
    layers = {layer.name: layer for layer in found}
    linear = {name: layer.shape for name, layer in layers.items() if layer.operator == "linear"}
    assert linear == {f"text_encoder/{name}": (32, 32) for name in ("to_q", "to_k", "to_v")} | {
        "text_encoder/out": (32, 128),
        "text_encoder/head": (128, 8),
    }
    assert layers["text_encoder/to_q"].weight == "to_q.weight"
    assert layers["text_encoder/to_q"].input == layers["text_encoder/to_k"].input
    assert layers["text_encoder/norm"].operator == "norm"
    assert layers["text_encoder/positions"].operator == "table"


def test_attention_is_found_as_one_operator_and_as_its_parts(tmp_path):
    for opset, kinds in ((23, {"Attention"}), (20, {"MatMul", "Softmax"})):
        program = traced(Block(), tmp_path / str(opset), opset)
        nodes = {node.name: node.op for node in prepared(program).nodes}
        layers = [layer for layer in find_layers(prepared(program)) if layer.operator == "attention"]
        assert {nodes[layer.node] for layer in layers} == kinds


def test_a_matrix_of_its_own_for_each_row_is_a_layer(tmp_path):
    (layer,) = find_layers(prepared(traced(Batched(), tmp_path)))
    assert (layer.operator, layer.shape) == ("linear", (8, 32, 48))
