from __future__ import annotations

import pytest

from exporter.backends.refusals import require_taken
from exporter.errors import RecipeError
from exporter.target import list_targets, load_target
from tests.exporter.test_build import recipe_of

EXECUTORCH = [target.name for target in list_targets() if target.backend == "executorch"]


def check(target_name, rules=(), unroll="step", **quantization):
    recipe = recipe_of("nowhere", quantization={"rules": list(rules), **quantization}, unroll=unroll)
    require_taken(recipe, load_target(target_name))


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
        ({"rules": [rule("fp16")]}, r"rule 1 \('denoiser/\*'\): target '.*' has no fp16: XNNPACK .* int8_dynamic"),
        ({"rules": [rule("int8_weights")]}, "has no int8_weights: XNNPACK has no product of float activations"),
        ({"rules": [rule("int4_weights")]}, "has no int4_weights: XNNPACK has no product of float activations"),
        ({"rules": [rule("palette", bits=4)]}, "has no palette: .* stored indices"),
        ({"rules": [rule("int8", operator="attention")]}, "has no attention: XNNPACK runs attention in float32 alone"),
        ({"rules": [rule("int8", operator="norm")]}, "has no norm"),
        ({"rules": [rule("int8", operator="activation")]}, "has no activation"),
        ({"rules": [rule("fp16", operator="table")]}, "has no table: ExecuTorch keeps tables in float32"),
        ({"rules": [rule("int8", rounding="gptq")]}, "has no gptq"),
        ({"rules": [rule("int8")], "calibration": {"observer": "entropy"}}, r"calibration\.observer: .* mse is"),
        ({"rules": [rule("int8")], "calibration": {"observer": "percentile"}}, "has no percentile"),
        ({"rules": [rule("int8")], "smooth": 0.5}, r"quantization\.smooth: "),
        ({"unroll": "loop"}, r"sampler\.unroll: target .* has no loop: .*executorch#8769"),
    ],
)  # fmt: skip
def test_what_executorch_cannot_take_is_refused_with_the_reason(target, wanted, message):
    with pytest.raises(RecipeError, match=message):
        check(target, **wanted)


def test_what_nothing_refuses_and_no_rule_uses_is_no_matter():
    check("cpu-executorch", calibration={"observer": "entropy"})
    check("cpu-executorch", [rule("fp32", operator="attention")])
    check("cpu", [rule("fp16")], unroll="loop")
