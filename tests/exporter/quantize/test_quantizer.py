from __future__ import annotations

import numpy as np
import pytest
import torch

from exporter.backends.onnxruntime.fusion import require_fused
from exporter.errors import ValidationFailed
from exporter.graphs.graph_file import save_graph
from exporter.quantize.collect import collect
from exporter.quantize.grid import IntegerGrid
from exporter.quantize.layers import TABLE_ELEMENTS
from exporter.quantize.prepared import prepared
from exporter.quantize.qdq import QdqWriter
from exporter.quantize.quantizer import Observer, lowest_precision, quantize, read_report, wanted
from exporter.quantize.rounding import per_channel
from exporter.quantize.smooth_program import smooth_program
from exporter.recipe.policy import Policy, Rule
from exporter.workshop.parity import compare
from tests.exporter.quantize.programs import WIDTH, Block, inputs, output, rewritten, traced

MINMAX = Observer("minmax", 99.99)


def policy(*rules):
    return Policy(rules=[Rule(**rule) for rule in rules])


EVERYTHING = policy(
    {"layers": "*", "precision": "int8"},
    *({"layers": "*", "operator": operator, "precision": "int8"} for operator in ("attention", "norm", "activation")),
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return traced(Block(), tmp_path_factory.mktemp("traced"))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for k in range(4):
        np.savez(folder / f"text_encoder_{k}.npz", prompts=np.array(["a", "b", "c"]), **inputs(seed=10 + k))
    return sorted(folder.glob("*.npz"))


def quantized(program, chosen, shards, folder):
    needs = wanted(prepared(program), chosen)
    seen = collect(program, needs.tensors, shards, grams=needs.grams) if needs.tensors else {}
    quantize(program, chosen, seen, MINMAX, folder)
    return folder / "program.onnx"


def snr(program, other, arrays=None):
    arrays = arrays or inputs()
    return compare(output(program, arrays), output(other, arrays)).snr_db


@pytest.mark.parametrize(
    ("chosen", "least_db", "at_most"),
    [
        (policy({"layers": "*", "precision": "int8"}), 30, 0.58),
        (policy({"layers": "*", "precision": "int8", "rounding": "gptq"}), 30, 0.58),
        (policy({"layers": "*", "precision": "int8_dynamic"}), 30, 0.65),
        (policy({"layers": "*", "precision": "int8_weights"}), 35, 0.68),
        (policy({"layers": "*", "precision": "int4_weights"}), 12, 0.53),
        (policy({"layers": "*", "precision": "fp16"}), 60, 0.75),
        (policy({"layers": "*", "precision": "palette", "bits": 4}), 12, 0.58),
        (EVERYTHING, 25, 0.7),
    ],
    ids=["int8", "int8 gptq", "dynamic", "int8 weights", "int4 weights", "fp16", "palette", "everything"],
)
def test_every_precision_is_as_close_and_as_small_as_it_can_be(program, shards, tmp_path, chosen, least_db, at_most):
    made = quantized(program, chosen, shards, tmp_path)
    assert least_db < snr(program, made) < 90
    assert made.stat().st_size < at_most * program.stat().st_size


def test_onnx_runtime_multiplies_query_key_and_value_in_integers(program, shards, tmp_path):
    made = quantized(program, policy({"layers": "*", "precision": "int8"}), shards, tmp_path)
    operators = require_fused(made)
    assert operators["MatMulIntegerToFloat"] == 2 and operators["MatMulInteger"] == 1 and operators["MatMul"] == 0


def test_the_report_names_every_layer_and_its_precision(program, shards, tmp_path):
    chosen = policy({"layers": "*", "precision": "int8"}, {"layers": "*/head", "precision": "fp32"})
    quantized(program, chosen, shards, tmp_path)
    report = {layer.name: layer.precision for layer in read_report(tmp_path) if layer.operator == "linear"}
    assert report == {f"text_encoder/{name}": "int8" for name in ("to_q", "to_k", "to_v", "out")} | {
        "text_encoder/head": "fp32"
    }
    assert lowest_precision(read_report(tmp_path)) == "int8"
    assert lowest_precision(read_report(tmp_path / "nowhere")) == "fp32"


def test_a_layer_that_no_rule_speaks_of_keeps_its_weight(program, shards, tmp_path):
    made = quantized(program, policy({"layers": "*/head", "precision": "palette", "bits": 1}), shards, tmp_path)
    before, after = ({c.name: c for c in prepared(p).tensors().values()} for p in (program, made))
    np.testing.assert_array_equal(after["to_q.weight"].values, before["to_q.weight"].values)


def test_gptq_is_closer_than_rounding_to_the_nearest(program, shards, tmp_path):
    closeness = []
    for rounding in ("nearest", "gptq"):
        chosen = policy({"layers": "*", "precision": "int4_weights", "rounding": rounding})
        closeness.append(snr(program, quantized(program, chosen, shards, tmp_path / rounding)))
    assert closeness[1] > closeness[0] + 1


def test_the_same_program_is_quantized_to_the_same_bytes(program, shards, tmp_path):
    first, second = (quantized(program, EVERYTHING, shards, tmp_path / name).read_bytes() for name in "ab")
    assert first == second


def test_a_product_that_onnx_runtime_leaves_in_floating_point_is_named(program, tmp_path):
    def trapped(graph):
        node = next(node for node in graph.nodes if node.name.endswith("head/MatMul"))
        node.inputs[0].shape = None
        QdqWriter(graph).linear(node, IntegerGrid.around_zero(4.0), *per_channel(node.inputs[1].values))

    broken = rewritten(program, trapped, tmp_path)
    with pytest.raises(
        ValidationFailed, match=r"leaves 1 of 1 quantized products in floating point: text_encoder/head"
    ):
        require_fused(broken)


def test_a_smoothed_program_computes_the_same_and_quantizes_better(program, shards, tmp_path):
    outliers = prepared(program)
    norm = next(node for node in outliers.nodes if node.op == "LayerNormalization")
    factor = np.ones(32, np.float32)
    factor[[3, 17]] = 64
    norm.inputs[1].values, norm.inputs[2].values = norm.inputs[1].values * factor, norm.inputs[2].values * factor
    for node in outliers.nodes:
        if node.name.endswith(("to_q/MatMul", "to_k/MatMul", "to_v/MatMul")):
            node.inputs[1].values = node.inputs[1].values / factor[:, None]
    stressed = save_graph(outliers, tmp_path / "stressed")
    assert snr(program, stressed) > 100
    chosen = policy({"layers": "*", "precision": "int8"})
    plain = snr(stressed, quantized(stressed, chosen, shards, tmp_path / "plain"))
    for alpha in (0.5, "search"):
        smooth = smooth_program(stressed, chosen, alpha, shards, None, tmp_path / str(alpha))
        assert snr(stressed, smooth) > 100
        assert snr(stressed, quantized(smooth, chosen, shards, tmp_path / f"q{alpha}")) > plain + 6


def test_static_and_dynamic_layers_may_read_the_same_input(program, shards, tmp_path):
    chosen = policy({"layers": "*", "precision": "int8"}, {"layers": "*/to_k", "precision": "int8_dynamic"})
    assert 30 < snr(program, quantized(program, chosen, shards, tmp_path)) < 90


def test_a_large_bias_that_takes_the_centre_of_a_one_sided_input_is_no_table_any_more(shards, tmp_path):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, WIDTH), torch.nn.GELU(), torch.nn.Linear(WIDTH, 2 * TABLE_ELEMENTS)
    )
    program = traced(module, tmp_path / "traced")
    chosen = policy({"layers": "*", "precision": "int8"}, {"layers": "*", "operator": "table", "precision": "fp16"})
    seen = collect(program, wanted(prepared(program), chosen).tensors, shards)
    quantize(program, chosen, seen, Observer("minmax", 99.99, one_sided=True), tmp_path / "quantized", "fp16")
    constants = {value.name: value.dtype for value in prepared(tmp_path / "quantized/program.onnx").tensors().values()}
    assert any("centre" in name for name in constants)
    assert snr(program, tmp_path / "quantized/program.onnx") > 25
