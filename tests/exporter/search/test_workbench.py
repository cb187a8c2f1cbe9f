from __future__ import annotations

import numpy as np
import onnx
import pytest

from exporter.errors import RecipeError, ValidationFailed
from exporter.files.cache import Cache
from exporter.recipe.policy import Policy, Rule
from exporter.search.latency import Product
from exporter.search.workbench import Workbench, stored_bytes
from exporter.targets.target import load_target
from tests.exporter.quantize.bench import tiny_recipe

CPU = load_target("cpu")


def policy(layers, precision, **fields):
    return Policy(rules=[Rule(layers=layers, precision=precision, **fields)])


def test_the_layers_of_every_stage(workbench):
    assert workbench.stages == ["text_encoder", "denoiser", "projector"]
    denoiser = {layer.name: layer for layer in workbench.layers["denoiser"]}
    assert denoiser["denoiser/prior.transformer_blocks.1.ff.net.2"].shape == (128, 32)
    assert {layer.operator for own in workbench.layers.values() for layer in own} <= {"linear", "table"}
    assert workbench.runs("denoiser") == 7 and workbench.runs("projector") == 1


def test_the_products_of_one_object(workbench):
    layers = {layer.name: layer for own in workbench.layers.values() for layer in own}

    def product(name):
        return workbench.product(name.partition("/")[0], layers[name])

    # 64 latents, the embedding and the time, for both branches of guidance; the embedding alone is one row of each.
    assert product("denoiser/prior.transformer_blocks.0.attn1.to_q") == Product((32, 32), 2 * 66, rank=3)
    assert product("denoiser/prior.embedding_proj") == Product((24, 32), 2, rank=2)
    assert product("text_encoder/model.text_model.encoder.layers.0.mlp.fc1") == Product((32, 64), 12, rank=3)
    assert product("projector/projections.mlp_0_weight") == Product((16, 20, 93), 1, rank=3)


def test_nothing_costs_nothing(workbench):
    cost = workbench.measure(Policy())
    assert set(cost.noise["denoiser"].values()) == {0.0} == set(cost.noise["projector"].values())
    assert list(cost.noise["denoiser"]) == ["early", "middle", "late"]
    assert cost.noise.keys() == {"denoiser", "projector"}
    assert cost.stored_bytes.keys() == set(workbench.stages)


@pytest.mark.parametrize(
    ("layers", "measured_in", "other"),
    [
        ("text_encoder/*.mlp.*", "denoiser", "projector"),
        ("denoiser/*.ff.*", "denoiser", "projector"),
        ("projector/*", "projector", "denoiser"),
    ],
)
def test_a_stage_costs_where_its_errors_are_measured(workbench, layers, measured_in, other):
    cost, nothing = workbench.measure(policy(layers, "int8")), workbench.measure(Policy())
    assert 1e-9 < cost.nsr(measured_in) < 1 and cost.nsr(other) == 0.0
    changed = {name for name, size in cost.stored_bytes.items() if size < nothing.stored_bytes[name]}
    assert changed == {layers.partition("/")[0]}


def test_fewer_bits_are_more_noise_and_fewer_bytes(workbench):
    eight, four = (workbench.measure(policy("denoiser/*", name)) for name in ("int8_weights", "int4_weights"))
    assert four.nsr("denoiser") > 10 * eight.nsr("denoiser")
    assert four.stored_bytes["denoiser"] < eight.stored_bytes["denoiser"]


def test_noise_of_layers_nearly_adds_up(workbench):
    names = [f"denoiser/prior.transformer_blocks.{i}.ff.net.0.proj" for i in range(2)]
    alone = [workbench.measure(policy(name, "int4_weights")).nsr("denoiser") for name in names]
    together = workbench.measure(policy("denoiser/*.ff.net.0.proj", "int4_weights")).nsr("denoiser")
    assert together == pytest.approx(sum(alone), rel=0.3)


def test_gptq_finds_its_moments(workbench):
    nearest, gptq = (
        workbench.measure(policy("denoiser/*", "int4_weights", rounding=rounding)).nsr("denoiser")
        for rounding in ("nearest", "gptq")
    )
    assert gptq != nearest


def test_quantized_programs_last_as_long_as_they_are_needed(workbench):
    with workbench.quantized(policy("denoiser/*.ff.*", "int8")) as programs:
        changed = programs["denoiser"]
        assert changed.exists() and programs["projector"] == workbench.originals["projector"]
    assert not changed.exists() and workbench.originals["denoiser"].exists()


def test_what_the_backend_refuses_costs_a_refusal(workbench, monkeypatch):
    def refuse(program, layers, folder):
        assert {layer.precision for layer in layers} == {"int8", "fp32"} and program.exists()
        raise ValidationFailed("not fused")

    monkeypatch.setattr("exporter.search.workbench.compile_program", refuse)
    with pytest.raises(ValidationFailed, match="not fused"):
        workbench.measure(policy("denoiser/*", "int8"))


def test_where_the_recipe_smooths_static_int8_is_smoothed(workbench, tiny_folder):
    smoothed = Workbench(tiny_recipe(tiny_folder, smooth=0.5), CPU, workbench.cache, prompts=2)
    rules = policy("denoiser/*.ff.net.0.proj", "int8")
    assert smoothed.measure(rules).nsr("denoiser") != workbench.measure(rules).nsr("denoiser")
    rules = policy("denoiser/*.ff.net.0.proj", "int4_weights")
    assert smoothed.measure(rules) == workbench.measure(rules)
    assert smoothed.measure(Policy()).nsr("denoiser") == 0.0


def test_everything_comes_from_the_cache_the_second_time(workbench, tiny_folder):
    cache = workbench.cache
    before = len(cache.entries())
    again = Workbench(tiny_recipe(tiny_folder), CPU, cache, prompts=2)
    assert len(cache.entries()) == before and again.key("denoiser") == workbench.key("denoiser")
    other = tiny_recipe(tiny_folder, objective="guided")
    assert Workbench(other, CPU, cache, prompts=2).key("denoiser") != workbench.key("denoiser")


def test_the_key_of_a_stage_is_of_all_that_its_noise_goes_through(workbench):
    encoder, denoiser, projector = (workbench.key(stage) for stage in workbench.stages)
    calibration = {denoiser[0]}
    assert set(denoiser) < set(encoder) and set(projector) & set(encoder) == calibration
    assert len(set(denoiser)) == len(set(projector)) == 2 and len(set(encoder)) == 3


def test_a_planned_target(tiny_folder, tmp_path):
    with pytest.raises(RecipeError, match="planned"):
        planned = load_target("cpu").model_copy(update={"status": "planned"})
        Workbench(tiny_recipe(tiny_folder), planned, Cache(tmp_path))


def test_a_target_that_runs_no_onnx_is_told_where_to_find_its_policy(tiny_folder, tmp_path):
    with pytest.raises(RecipeError, match=r"'android' runs on its own device \(executorch\).*Use --target cpu"):
        Workbench(tiny_recipe(tiny_folder), load_target("android"), Cache(tmp_path))


@pytest.mark.parametrize("external", [False, True])
def test_stored_bytes_are_those_of_the_weights(tmp_path, external):
    values = {"w": np.zeros((64, 32), np.float32), "q": np.zeros(100, np.int8)}
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    packed = onnx.helper.make_tensor("p", onnx.TensorProto.INT4, [10], bytes(5), raw=True)
    graph = onnx.helper.make_graph([], "denoiser", [], [], [*tensors, packed])
    onnx.save(
        onnx.helper.make_model(graph), tmp_path / "program.onnx", save_as_external_data=external, size_threshold=50
    )
    assert stored_bytes(tmp_path / "program.onnx") == 64 * 32 * 4 + 100 + 5
