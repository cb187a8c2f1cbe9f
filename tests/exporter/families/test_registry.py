from __future__ import annotations

import pytest

from exporter.families.registry import families, stage_names, uncalibrated_stages
from exporter.recipe.policy import Policy, Rule, RuleError
from exporter.workshop.calibration import uncalibrated
from tests.exporter.tiny import tiny_recipe


def test_the_table_of_stages_without_calibration_is_the_pipelines(tiny):
    assert list(uncalibrated_stages("shap-e")) == uncalibrated(tiny.pipeline(tiny_recipe()))


def policy(*rules):
    return Policy(rules=[Rule(layers=layers, precision=precision) for layers, precision in rules])


@pytest.mark.parametrize("layers", ["field/*", "*", "*/*", "fiel?/mlp.0"])
def test_static_int8_is_refused_of_a_stage_without_calibration(layers):
    with pytest.raises(RuleError, match="stage 'field' has no calibration"):
        policy((layers, "int8")).require_calibrated(["field"])


@pytest.mark.parametrize(
    "rules",
    [
        [("field/*", "int8_dynamic")],
        [("denoiser/*", "int8")],
        [("*attn1*", "int8")],
        [("*", "int8"), ("field/*", "fp32")],
    ],
)
def test_what_may_be_built_is_not_refused(rules):
    policy(*rules).require_calibrated(["field"])


@pytest.mark.parametrize("family", [name for name in families() if stage_names(name)])
def test_only_stages_of_a_family_are_without_calibration(family):
    assert set(uncalibrated_stages(family)) <= set(stage_names(family)) and uncalibrated_stages(family)
