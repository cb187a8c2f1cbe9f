"""One traced block in OpenVINO's precisions, and whole builds of a random Shap-E of a few thousand parameters."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest

from exporter.backends.openvino.execution import executed_products, require_integers
from exporter.backends.openvino.openvino_backend import compile_program
from exporter.build.build import build
from exporter.errors import BundleError, RecipeError, ValidationFailed
from exporter.graphs.program_files import EXTERNAL_DATA
from exporter.quantize.grid import IntegerGrid
from exporter.quantize.integer_product import IntegerQdqWriter
from exporter.quantize.qdq import ZeroPointQdqWriter
from exporter.quantize.quantizer import LayerReport, Observer, quantize
from exporter.quantize.rounding import per_channel
from exporter.recipe.policy import Policy, Rule
from exporter.runtime.bundle import Bundle
from exporter.runtime.sessions.openvino import OpenVinoSession
from exporter.targets.target import load_target
from exporter.workshop.parity import compare
from tests.exporter.build.test_build import INT8, in_int8, recipe_of
from tests.exporter.machine.resident import resident
from tests.exporter.quantize.programs import Batched, Block, inputs, output, rewritten, traced

TARGET, BF16 = load_target("cpu-openvino"), load_target("cpu-openvino-bf16")
OPTIONS = TARGET.session.model_dump()


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    return traced(Block(), tmp_path_factory.mktemp("fp32"))


def beside(program, folder):
    """The same program with its weights in a file of their own, which OpenVINO maps."""
    folder.mkdir()
    location = {"location": EXTERNAL_DATA, "size_threshold": 256}
    onnx.save(onnx.load(program), folder / "program.onnx", save_as_external_data=True, **location)
    return folder / "program.onnx"


@pytest.mark.skipif(sys.platform != "linux", reason="what is mapped is known on Linux")
def test_weights_are_not_kept_twice_once_they_are_packed(block, tmp_path):
    path = beside(block, tmp_path / "beside")
    session = OpenVinoSession(path, OPTIONS)
    first = session.run(inputs())["y"]
    assert resident(path.parent / EXTERNAL_DATA) == 0
    np.testing.assert_array_equal(session.run(inputs())["y"], first)
    assert compare(output(path, inputs()), first).snr_db > 90


def test_a_table_in_half_precision_is_cast_as_openvino_leaves_it_in_its_file(block, tmp_path):
    halves = Policy(rules=[Rule(layers="*", operator="table", precision="fp16")])
    quantize(block, halves, {}, Observer("minmax", 99.99), tmp_path / "half", "qdq")
    compiled = onnx.load(compile_program(TARGET, tmp_path / "half/program.onnx", [], tmp_path / "compiled")).graph
    maker = {name: node.op_type for node in compiled.node for name in node.output}
    assert [maker.get(node.input[0]) for node in compiled.node if node.op_type == "Gather"].count("Cast") == 1


def in_writer(kind, grid):
    """Every product with a weight in INT8 by a writer, all inputs on one grid."""

    def rewrite(graph):
        writer = kind(graph)
        for node in [node for node in graph.nodes if node.op == "MatMul" and node.inputs[1].name.endswith("weight")]:
            writer.linear(node, grid, *per_channel(node.inputs[1].values))

    return rewrite


@pytest.mark.parametrize(
    "grid", [IntegerGrid.around_zero(4.0), IntegerGrid(-1.5, 4.0)], ids=["around zero", "one-sided"]
)
@pytest.mark.parametrize("module", [Block, Batched])
def test_static_int8_runs_in_integers_and_gives_what_onnx_says(module, grid, tmp_path):
    path = rewritten(traced(module(), tmp_path / "fp32"), in_writer(ZeroPointQdqWriter, grid), tmp_path / "int8")
    assert require_integers(path, OPTIONS)
    found = OpenVinoSession(path, OPTIONS).run(inputs())["y"]
    # Of the difference between the two runtimes little may come from their rounding, and none from a zero point.
    assert compare(output(path, inputs()), found).snr_db > 40


def test_integer_products_that_onnxruntime_needs_are_named_and_refused(block, tmp_path):
    path = rewritten(block, in_writer(IntegerQdqWriter, IntegerGrid.around_zero(4.0)), tmp_path / "int8")
    with pytest.raises(ValidationFailed, match=r"OpenVINO leaves 1 of 5 .* floating point: text_encoder/head/MatMulI"):
        compile_program(TARGET, path, [], tmp_path / "out")


@pytest.mark.parametrize("precision", ["int8_weights", "int4_weights", "fp16"])
def test_stored_weights_stay_exact_while_activations_are_float(precision, block, tmp_path):
    quantize(block, Policy(rules=[Rule(layers="*", precision=precision)]), {}, Observer("minmax", 99.9), tmp_path)
    program = tmp_path / "program.onnx"
    executed = require_integers(program, OPTIONS)
    assert set(executed.values()) == {"int8_weights": {"i8"}, "int4_weights": {"i4"}, "fp16": set()}[precision]
    floats = output(block, inputs())
    expected = output(program, inputs())
    found = OpenVinoSession(program, OPTIONS).run(inputs())["y"]
    assert compare(floats, found).snr_db > compare(floats, expected).snr_db - 1


def test_blocks_that_do_not_divide_the_rows_are_refused(block, tmp_path):
    policy = Policy(rules=[Rule(layers="*to_q", precision="int8_weights", block=64)])
    quantize(block, policy, {}, Observer("minmax", 99.9), tmp_path)
    with pytest.raises(ValidationFailed, match=r"to_q.weight: 32 rows are no multiple of 64.* smaller block"):
        require_integers(tmp_path / "program.onnx", OPTIONS)


def test_nothing_is_less_precise_than_it_says(block, tmp_path):
    assert set(executed_products(block, OPTIONS).values()) == {"f32"}
    assert compare(output(block, inputs()), OpenVinoSession(block, OPTIONS).run(inputs())["y"]).snr_db > 110


def test_a_program_tells_which_input_it_misses_and_which_does_not_fit(block, tmp_path):
    session = OpenVinoSession(block, OPTIONS)
    with pytest.raises(BundleError, match="the program needs x"):
        session.run({})
    with pytest.raises(BundleError, match=r"cannot run the program on x \[1, 8, 3\]"):
        session.run({"x": np.zeros((1, 8, 3), np.float32)})
    (tmp_path / "program.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match="OpenVINO cannot open it"):
        OpenVinoSession(tmp_path / "program.onnx", OPTIONS)


def test_a_bundle_in_int8_keeps_to_its_goldens_and_makes_a_mesh(tiny_folder, step_cache, tmp_path):
    int8 = INT8 | {"stage_snr_db": 3.0}
    recipe = recipe_of(tiny_folder, quantization=in_int8("text_encoder/*", "denoiser/*", "projector/*"), int8=int8)
    report = build(recipe, TARGET, tmp_path / "int8", cache=step_cache, need_gain=False)
    stages = report.manifest.stages
    assert {name: stage.precision for name, stage in stages.items()} == {
        "text_encoder": "int8", "denoiser": "int8", "projector": "int8", "field": "fp32", "renderer": "fp32"
    }  # fmt: skip
    assert report.manifest.toolchain["openvino"] and report.manifest.target["session"]["inference_precision"] == "fp32"
    assert [gain.stage for gain in report.gains if gain.time_share] or report.warnings == [TARGET.stand_in]
    bundle = Bundle.open(report.out)
    assert bundle.make({"prompt": "a table"})["latents"].shape == (1, 64, 20)
    bundle.generate("a red chair")


def test_in_bf16_every_stage_is_held_to_the_tolerances_of_that(tiny_folder, step_cache, tmp_path):
    recipe = recipe_of(tiny_folder)
    tolerances = {name: values for name, values in recipe.validation.tolerances.items() if name != "bf16"}
    silent = recipe.model_copy(update={"validation": recipe.validation.model_copy(update={"tolerances": tolerances})})
    with pytest.raises(RecipeError, match=r"validation.tolerances.bf16 is refused .* has to be judged by it"):
        build(silent, BF16, tmp_path / "bf16", cache=step_cache)
    report = build(recipe, BF16, tmp_path / "bf16", cache=step_cache, need_gain=False)
    assert {stage.precision for stage in report.manifest.stages.values()} == {"bf16"}
    assert {p.limit_db for p in report.parities} == {INT8["stage_snr_db"]}


@pytest.mark.parametrize("unroll", ["loop", "full"])
def test_whole_samplers_run_too(unroll, tiny_folder, step_cache, tmp_path):
    report = build(recipe_of(tiny_folder, unroll=unroll), TARGET, tmp_path / "whole", cache=step_cache)
    assert min(p.parity.snr_db for p in report.parities if p.stage == "denoiser") > 80
    assert [spec.name for spec in report.manifest.stages["denoiser"].inputs] == ["sample", "embedding"]


def test_what_the_layers_of_a_bundle_are_computed_in_is_told(block, tmp_path):
    layers = [LayerReport("a", "linear", "int8"), LayerReport("b", "linear", "fp32"), LayerReport("t", "table", "fp32")]
    compile_program(BF16, block, layers, tmp_path)
    told = (tmp_path / "quantization.json").read_text()
    assert [part.split('"')[0] for part in told.split('"precision": "')[1:]] == ["int8", "bf16", "fp32"]
