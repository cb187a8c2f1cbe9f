from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.errors import RecipeError
from exporter.recipe.policy import Policy, Rule
from exporter.recipe.recipe_file import load_recipe

FP32 = Path(__file__).parents[3] / "recipes" / "shape_e_fp32.yaml"

RULES = st.one_of(
    st.builds(
        Rule,
        layers=st.text("abc*?./_", min_size=1, max_size=12),
        precision=st.sampled_from(["int8", "int8_dynamic", "fp32"]),
        why=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20),
    ),
    st.builds(
        Rule,
        layers=st.just("denoiser/*"),
        precision=st.sampled_from(["int8_weights", "int4_weights"]),
        block=st.sampled_from([None, 16, 64]),
        rounding=st.sampled_from(["nearest", "gptq"]),
    ),
    st.builds(
        Rule, layers=st.just("*"), operator=st.just("table"), precision=st.just("palette"), bits=st.integers(1, 6)
    ),
)


def policy(*rules):
    return Policy(rules=[Rule(**rule) for rule in rules])


def test_the_last_rule_that_matches_decides():
    chosen = policy(
        {"layers": "denoiser/*", "precision": "int8"},
        {"layers": "denoiser/*.to_q", "precision": "fp32"},
        {"layers": "denoiser/blocks.1.*", "precision": "int4_weights"},
    )
    assert chosen.choose("denoiser/blocks.0.to_k", "linear").precision == "int8"
    assert chosen.choose("denoiser/blocks.0.to_q", "linear") is None
    assert chosen.choose("denoiser/blocks.1.to_q", "linear").precision == "int4_weights"


def test_a_rule_speaks_of_its_operator_alone():
    chosen = policy({"layers": "*", "precision": "int8"})
    assert chosen.choose("denoiser/norm", "norm") is None
    assert policy({"layers": "*", "operator": "norm", "precision": "int8"}).choose("denoiser/norm", "norm")


def test_a_rule_that_matches_nothing_names_the_nearest_layers():
    layers = [("denoiser/blocks.0.attn1.to_q", "linear"), ("denoiser/blocks.0.ff", "linear"), ("denoiser/n", "norm")]
    with pytest.raises(RecipeError, match=r"rule 2 .*attn1.to_w.*nearest of 2: denoiser/blocks.0.attn1.to_q"):
        policy(
            {"layers": "denoiser/*", "precision": "int8"}, {"layers": "denoiser/*attn1.to_w", "precision": "fp32"}
        ).require_matches(layers)
    with pytest.raises(RecipeError, match="of that operator there is no layer in denoiser, the stages"):
        policy({"layers": "*", "operator": "activation", "precision": "int8"}).require_matches(layers)
    with pytest.raises(RecipeError, match=r"rule 1 .*it matches no stage of this pipeline; write a stage"):
        policy({"layers": "denoisr/*", "precision": "int8"}).require_matches([])


@pytest.mark.parametrize(
    ("layers", "spoken_of"),
    [
        ("denoiser/*", True),
        ("*", True),
        ("*/proj_in", True),
        ("den*/x", True),
        ("denoiser*", True),
        ("denoise?/x", True),
        ("denoisr/*", False),
        ("denoisr*/x", False),
        ("field/*", False),
    ],
)
def test_the_stages_that_a_rule_can_speak_of(layers, spoken_of):
    assert Rule(layers=layers, precision="int8").may_speak_of("denoiser") is spoken_of


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"precision": "int8", "bits": 4}, "bits go with precision palette"),
        ({"precision": "palette"}, "bits go with precision palette"),
        ({"precision": "int8", "block": 32}, "block goes with"),
        ({"precision": "int8", "operator": "table"}, "a table can be stored"),
        ({"precision": "fp16", "operator": "norm"}, "has no weight"),
        ({"precision": "fp16", "rounding": "gptq"}, "goes with integers and palettes"),
        ({"precision": "bf16"}, "no rule gives bf16: a target computes in it"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(rule, told):
    with pytest.raises(ValidationError, match=told):
        Rule(layers="*", **rule)


@given(st.lists(RULES, max_size=5))
def test_a_policy_written_and_read_is_the_same_but_for_its_comments(rules):
    written = yaml.safe_load(Policy(rules=rules).to_yaml())
    assert Policy.model_validate(written) == Policy(rules=[rule.model_copy(update={"why": ""}) for rule in rules])


def test_the_reason_of_a_rule_stands_above_it():
    text = policy({"layers": "a*", "precision": "fp32", "why": "costs 3 dB, saves 1 kB"}).to_yaml()
    assert text.splitlines()[1:] == ["  # costs 3 dB, saves 1 kB", "  - {layers: a*, precision: fp32}"]


def test_a_recipe_takes_the_rules_of_a_policy_file_before_its_own(tmp_path):
    (tmp_path / "shared.yaml").write_text("rules:\n  - {layers: 'denoiser/*', precision: int8_weights}\n")
    text = FP32.read_text().replace("rules: []", "policy: shared.yaml\n  rules: [{layers: 'a/*', precision: fp32}]")
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match="tolerances lacks int8_weights"):
        load_recipe(tmp_path / "r.yaml")
    loose = (
        "{stage_snr_db: 1, trajectory_snr_db: 1, latents_relative_l2: 1, mesh_iou: 0, chamfer: 1, render_psnr_db: 1}"
    )
    recipe = load_recipe(tmp_path / "r.yaml", [f"validation.tolerances.int8_weights={loose}"])
    assert [rule.layers for rule in recipe.quantization.rules] == ["denoiser/*", "a/*"]


def test_a_mistake_in_a_policy_file_is_told_with_its_own_line(tmp_path):
    (tmp_path / "shared.yaml").write_text("rules:\n  - {layers: 'denoiser/*', precision: int9}\n")
    (tmp_path / "r.yaml").write_text(FP32.read_text().replace("rules: []", "policy: shared.yaml\n  rules: []"))
    with pytest.raises(RecipeError, match=r"shared.yaml:2: .*found 'int9'"):
        load_recipe(tmp_path / "r.yaml")
