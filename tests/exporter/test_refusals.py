from __future__ import annotations

import pytest

from exporter.errors import RecipeError
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.accept import fitted, require_accepted
from exporter.targets.target import list_targets, load_target
from tests.exporter.build.test_build import recipe_of

EXECUTORCH = [t.name for t in list_targets() if t.backend == "executorch" and t.status == "complete"]


def check(target_name, rules=(), unroll="step", **quantization):
    recipe = recipe_of("nowhere", quantization={"rules": list(rules), **quantization}, unroll=unroll)
    require_accepted(recipe, load_target(target_name))


def rule(precision, **more):
    return {"layers": "denoiser/*", "precision": precision, **more}


@pytest.mark.parametrize("target", EXECUTORCH)
def test_executorch_takes_int8_of_both_kinds_where_it_says_so(target):
    for precision in ("int8", "int8_dynamic"):
        if precision in load_target(target).precisions:
            check(target, [rule(precision)])
    check(target, unroll="full")


@pytest.mark.parametrize("target", EXECUTORCH)
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"rules": [rule("fp16")]}, r"has layers in fp16, which target .* lacks; .* XNNPACK .* int8_dynamic"),
        ({"rules": [rule("int8_weights")]}, "int8_weights: XNNPACK has no product of float activations"),
        ({"rules": [rule("int4_weights")]}, "int4_weights: XNNPACK has no product of float activations"),
        ({"rules": [rule("palette", bits=4)]}, "palette: XNNPACK has no product"),
        ({"rules": [rule("int8", operator="attention")]}, "operator: attention is refused .* in float32 alone"),
        ({"rules": [rule("int8", operator="norm")]}, "operator: norm is refused"),
        ({"rules": [rule("int8", operator="activation")]}, "operator: activation is refused"),
        ({"rules": [rule("int8", rounding="gptq")]}, "rounding: gptq is refused"),
        ({"rules": [rule("int8")], "calibration": {"observer": "entropy"}}, r"observer: entropy is refused .* mse is"),
        ({"rules": [rule("int8")], "calibration": {"observer": "percentile"}}, "observer: percentile is refused"),
        ({"unroll": "loop"}, r"sampler\.unroll: loop is refused .*executorch#8769"),
    ],
)  # fmt: skip
def test_what_executorch_cannot_take_is_refused_with_the_reason(target, wanted, message):
    with pytest.raises(RecipeError, match=message):
        check(target, **wanted)


def test_what_nothing_refuses_and_no_rule_uses_is_no_matter():
    check("cpu-executorch", calibration={"observer": "entropy"})
    check("cpu-executorch", [rule("fp32", operator="attention")])
    check("cpu", [rule("fp16")], unroll="loop")


@pytest.mark.parametrize("target", [*EXECUTORCH, "orin", "t4"])
def test_an_interval_of_guidance_becomes_guidance_everywhere_and_is_told(target):
    recipe = load_recipe("recipes/shape_e_fp32.yaml", ["sampler.guidance_interval=[0, 30]"])
    left, told = fitted(recipe, load_target(target))
    assert left.sampler == recipe.sampler.model_copy(update={"guidance_interval": None})
    assert told[0].startswith(f"sampler.guidance_interval is left out for target '{target}'")
    assert fitted(left, load_target(target)) == (left, [])
    assert fitted(recipe, load_target("web")) == (recipe, [])


@pytest.mark.parametrize("target", EXECUTORCH)
def test_tables_and_smoothing_are_left_out_and_told(target):
    rules = [rule("int8"), {"layers": "*", "operator": "table", "precision": "fp16"}]
    recipe = recipe_of("nowhere", quantization={"rules": rules, "smooth": "search"})
    left, told = fitted(recipe, load_target(target))
    assert [kept.precision for kept in left.quantization.rules] == ["int8"] and left.quantization.smooth == "none"
    assert [line.partition(" ")[0] for line in told] == ["operator", "quantization.smooth"]
    require_accepted(left, load_target(target))
    assert fitted(left, load_target(target)) == (left, [])
    assert fitted(recipe, load_target("cpu")) == (recipe, [])
