from __future__ import annotations

from pathlib import Path

import pytest

from exporter.build.known_layers import require_known_layers
from exporter.errors import RecipeError
from exporter.families.registry import load_model
from exporter.quantize.layers import find_layers
from exporter.quantize.prepared import prepared
from exporter.recipe.policy import Policy, RuleError
from exporter.recipe.recipe_file import load_recipe
from exporter.trace.onnx import trace
from tests.exporter.ball_family import Balls
from tests.exporter.tiny import pure_module, tiny_recipe

RECIPES = sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))


def check(model, *layers, **more):
    rules = [{"layers": pattern, "precision": "int8", **more} for pattern in layers]
    require_known_layers(Policy.model_validate({"rules": rules}), model, tiny_recipe())


@pytest.fixture(scope="module")
def layers(tiny, tmp_path_factory):
    """All layers of the tiny model's traced programs but tables."""
    folder = tmp_path_factory.mktemp("traced")
    recipe = tiny_recipe()
    stages = [pure_module(tiny, name, recipe) for name in tiny.pipeline(recipe).stages]
    programs = [trace(stage, 23, folder / stage.name) for stage in stages]
    return [layer for path in programs for layer in find_layers(prepared(path)) if layer.operator != "table"]


def test_every_layer_of_the_traced_programs_is_known(tiny, layers):
    assert {layer.name.partition("/")[0] for layer in layers} >= {"text_encoder", "denoiser", "projector", "field"}
    for operator in {layer.operator for layer in layers}:
        check(tiny, *{layer.name for layer in layers if layer.operator == operator}, operator=operator)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_rule_that_is_shipped_passes(tiny, path):
    recipe = load_recipe(path)
    small = {
        "shap-e": lambda: tiny,
        "shap-e-image": lambda: load_model("shap-e-image", "random:shap-e-image-1m"),
        "triposr": lambda: load_model("triposr", "random:triposr-tiny"),
    }
    # The small models have few blocks.
    rules = [rule for rule in recipe.quantization.table.rules if "blocks" not in rule.layers]
    shipped = small.get(recipe.model.family, lambda: load_model(recipe.model.family, recipe.model.weights))
    require_known_layers(Policy(rules=rules), shipped(), recipe)


def test_a_misspelt_layer_is_told_with_its_rule_and_the_nearest(tiny):
    with pytest.raises(RuleError, match=r"rule 2 \('denoiser/\*\.attn1\.to_w', .*: denoiser/.*attn1\.to_k, ") as caught:
        check(tiny, "denoiser/*", "denoiser/*.attn1.to_w")
    assert caught.value.rule.layers == "denoiser/*.attn1.to_w"
    with pytest.raises(RecipeError, match=r"nearest of .*: denoiser/prior.proj_in, "):
        check(tiny, "denoiser/prior.proj_inn")


def test_a_stage_that_the_family_lacks_is_told():
    with pytest.raises(RuleError, match=r"rule 1 .*it matches no stage of this pipeline"):
        check(Balls("x"), "projector/*")
    check(Balls("x"), "denoiser/network.mix")


def test_what_modules_do_not_tell_is_left_to_the_trace(tiny):
    check(tiny, "denoiser/no_such", operator="table", precision="fp16")
    check(tiny, "denoiser/prior.proj_in/Gemm_2")


def test_no_weight_is_read(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "fill_part", pytest.fail)
    check(tiny, "*/*", "denoiser/*")
