from __future__ import annotations

import numpy as np
import pytest

from exporter.errors import RecipeError
from exporter.files.cache import Entry
from exporter.quantize.quantizer import read_report
from exporter.quantize.statistics import load
from exporter.quantize.steps import STATISTICS, Quantization
from exporter.recipe.quantization_section import QuantizationSection
from tests.exporter.quantize.programs import Block, inputs, traced

INT8 = {"layers": "*", "precision": "int8"}
GPTQ = {"layers": "*", "precision": "int8_weights", "rounding": "gptq"}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return traced(Block(), tmp_path_factory.mktemp("traced")).parent


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    """Recorded inputs of the text encoder alone, as those of a field are not recorded."""
    folder = tmp_path_factory.mktemp("shards")
    np.savez(folder / "text_encoder_0000.npz", prompts=np.array(["a", "b", "c"]), **inputs())
    return Entry("a-key", "record calibration", folder, 1, 0.0)


def quantization(calibration, *rules, stage="text_encoder", scale=None, **settings):
    section = QuantizationSection.model_validate({"rules": list(rules), **settings})
    return Quantization(stage, section, calibration, scale)


def run(own, before, folder):
    """The folder of every step's result, by the name of the step."""
    made = {}
    for transform in own.transforms("fp32"):
        made[transform.step] = folder / transform.step
        made[transform.step].mkdir()
        transform.run(before, made[transform.step])
        before = made[transform.step]
    return made


def test_a_stage_is_smoothed_observed_and_quantized_as_far_as_its_rules_need(before, calibration, tmp_path):
    made = run(quantization(calibration, INT8, smooth=0.5), before, tmp_path)
    assert list(made) == ["smooth", "observe", "quantize"]
    assert {layer.precision for layer in read_report(made["quantize"]) if layer.operator == "linear"} == {"int8"}
    assert [t.step for t in quantization(calibration, GPTQ, smooth=0.5).transforms("fp32")] == ["observe", "quantize"]
    weights = {"layers": "*", "precision": "int8_weights"}
    assert [t.step for t in quantization(None, weights).transforms("fp32")] == ["quantize"]
    of_others = {"layers": "denoiser/*", "precision": "int8"}
    assert list(quantization(calibration, of_others).transforms("fp32")) == []


@pytest.mark.parametrize("settings", [{}, {"smooth": 0.5}, {"smooth": "search"}], ids=["plain", "smoothed", "searched"])
@pytest.mark.parametrize("rule", [INT8, GPTQ], ids=["int8", "gptq"])
def test_a_stage_without_calibration_is_refused_what_needs_it(before, calibration, tmp_path, rule, settings):
    own = quantization(calibration, rule, stage="field", **settings)
    with pytest.raises(RecipeError, match=r"field/\*: stage 'field' has no calibration.*choose int8_dynamic"):
        run(own, before, tmp_path)


def test_a_rule_for_nothing_that_has_to_be_observed_needs_no_calibration(before, calibration, tmp_path):
    rules = {"layers": "*/no_such", "precision": "int8"}, {"layers": "*", "precision": "fp16"}
    made = run(quantization(calibration, *rules, stage="field"), before, tmp_path)
    assert load(made["observe"] / STATISTICS) == {}


def test_the_objective_is_of_the_guided_output_where_there_is_guidance(calibration):
    def objective(**more):
        first = next(iter(quantization(calibration, GPTQ, **more).transforms("fp32")))
        return first.inputs["objective"]

    assert objective(scale=3.0, objective="guided") == 3.0
    assert objective(scale=3.0, objective="output") is None
    assert objective(scale=None, objective="guided") is None
