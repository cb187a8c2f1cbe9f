from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import RecipeError
from exporter.search.candidates import default_candidates, label, parse_candidate, policy_of

LABELS = ["int8", "int8:gptq", "int8_dynamic", "int4_weights:64:gptq", "int8_weights", "palette:4", "fp16"]


@pytest.mark.parametrize("text", LABELS)
def test_a_label_is_read_back(text):
    assert label(parse_candidate(text)) == text


def test_parts_come_in_any_order():
    assert parse_candidate("int4_weights:gptq:64") == parse_candidate(" int4_weights:64:gptq")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("int9", "did you mean 'int8'"),
        ("fp32", "allowed: "),
        ("palette", "bits go with precision palette"),
        ("palette:9", "less than or equal to 6"),
        ("int8:32", "block goes with"),
        ("int8:floor", "'nearest' or 'gptq'"),
        ("int4_weights:32:64", "block is given twice"),
        ("", "allowed: "),
    ],
)
def test_what_is_no_candidate(text, told):
    with pytest.raises(RecipeError, match=told):
        parse_candidate(text)


@given(st.text(alphabet="int4816_weghtspalfd:gq32", max_size=20))
def test_any_text_is_a_candidate_or_an_error(text):
    try:
        assert parse_candidate(label(parse_candidate(text))) == parse_candidate(text)
    except RecipeError as error:
        assert "candidate" in str(error)


def test_every_precision_is_a_candidate_but_fp32():
    labels = [label(rule) for rule in default_candidates(["fp32", "int8", "int4_weights", "palette"])]
    assert labels == ["int8", "int4_weights:gptq", "palette:6", "palette:4", "palette:3", "palette:2"]


def test_an_operator_has_only_what_it_can_have():
    assert policy_of("denoiser/positions", "table", parse_candidate("int8")) is None
    policy = policy_of("denoiser/positions", "table", parse_candidate("palette:4"))
    assert policy.choose("denoiser/positions", "table").bits == 4
    assert policy.choose("denoiser/positions", "linear") is None
