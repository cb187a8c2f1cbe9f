from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.recipe.policy import Policy
from exporter.search.candidates import label
from exporter.search.losses import Loss
from exporter.search.rules import patterns, write_policy
from exporter.search.search import LayerChoice

LINEARS = [f"denoiser/blocks.{i}.{name}" for i in range(12) for name in ("attn1.to_q", "attn1.to_out.0", "ff.net.2")]
SAVED = {"int8": (750, 2.0), "int4_weights": (870, 0.5)}
NOISE = {"int8": 1e-4, "int4_weights": 1e-3}


def loss(layer, candidate, nsr=None, operator="linear"):
    size, milliseconds = SAVED.get(candidate, (500, 0.0))
    parts = {"early": NOISE.get(candidate, 1e-6) if nsr is None else nsr}
    return Loss("denoiser", layer, operator, candidate, "denoiser", parts, 1000 * size, milliseconds)


LOSSES = [loss(layer, candidate) for layer in LINEARS for candidate in SAVED]


def choice_of(chosen, losses=LOSSES):
    found = {(entry.layer, entry.candidate): entry for entry in losses}
    picked = {layer: found[layer, candidate] for layer, candidate in chosen.items() if candidate != "fp32"}
    return LayerChoice(0.1, {(layer, entry.operator): entry for layer, entry in picked.items()})


@given(st.lists(st.sampled_from(["fp32", *SAVED]), min_size=len(LINEARS), max_size=len(LINEARS)))
def test_the_rules_say_what_was_chosen(candidates):
    chosen = dict(zip(LINEARS, candidates, strict=True))
    policy = write_policy(choice_of(chosen), LOSSES)
    for layer, candidate in chosen.items():
        rule = policy.choose(layer, "linear")
        assert (label(rule) if rule else "fp32") == candidate
    policy.require_matches((layer, "linear") for layer in LINEARS)
    assert all(rule.why for rule in policy.rules[1:])


@given(st.sets(st.sampled_from(LINEARS), min_size=1))
def test_patterns_match_exactly_what_they_should(layers):
    found = patterns(sorted(layers), LINEARS)
    assert {name for name in LINEARS for pattern, _ in found if fnmatchcase(name, pattern)} == layers
    assert sorted(name for _, own in found for name in own) == sorted(layers)
    assert len(found) <= len(layers)


@pytest.mark.parametrize(
    ("part", "pattern"),
    [
        ("attn1.to_q", "denoiser/blocks.*.attn1.to_q"),
        (".3.", "denoiser/blocks.3.*"),
        (".3.attn1", "denoiser/blocks.3.attn1.*"),
        (".3.ff.net.2", "denoiser/blocks.3.ff.net.2"),
    ],
)
def test_neighbours_become_one_pattern(part, pattern):
    assert [found for found, _ in patterns([name for name in LINEARS if part in name], LINEARS)] == [pattern]


def test_a_block_of_one_digit_is_not_that_of_two():
    (pattern, _), *others = patterns([name for name in LINEARS if ".1." in name], LINEARS)
    assert not others and not fnmatchcase("denoiser/blocks.11.ff.net.2", pattern)


def test_most_layers_have_one_rule_and_the_others_a_reason():
    chosen = dict.fromkeys(LINEARS, "int8") | {LINEARS[0]: "fp32", LINEARS[2]: "int4_weights"}
    policy = write_policy(choice_of(chosen), LOSSES)
    first, *others = policy.rules
    assert (first.layers, first.precision, first.why) == ("denoiser/*", "int8", "")
    why = {rule.precision: rule.why for rule in others}
    # 34 layers at 1e-4 and one at 1e-3: one more in int8 is 10·log10(45/44), the one in int4 is 10·log10(44/35).
    assert why["fp32"] == "costs 0.098 dB of the denoiser's SNR in int8, saves 0.75 MB and 2 ms an object"
    assert (
        why["int4_weights"]
        == "costs 0.99 dB of the denoiser's SNR in int4_weights, saves 0.12 MB, loses 1.5 ms an object"
    )


def test_the_only_quantized_layer_says_what_it_leaves():
    chosen = dict.fromkeys(LINEARS, "fp32") | {LINEARS[4]: "int8"}
    (rule,) = write_policy(choice_of(chosen), LOSSES).rules
    assert rule.layers == LINEARS[4] or fnmatchcase(LINEARS[4], rule.layers)
    assert rule.why == "leaves 40.0 dB of the denoiser's SNR in int8, saves 0.75 MB and 2 ms an object"


def test_tables_have_rules_of_their_own():
    tables = [
        loss("denoiser/positions", "palette:4", operator="table"),
        loss("denoiser/x", "palette:4", operator="table"),
    ]
    chosen = {"denoiser/positions": "palette:4", "denoiser/x": "palette:4", LINEARS[0]: "int8"}
    policy = write_policy(choice_of(chosen, LOSSES + tables), LOSSES + tables)
    assert next(rule for rule in policy.rules if rule.operator == "table").bits == 4
    assert policy.choose("denoiser/positions", "linear") is None


def test_a_precision_that_a_layer_cannot_have():
    losses = [entry for entry in LOSSES if (entry.layer, entry.candidate) != (LINEARS[0], "int8")]
    chosen = dict.fromkeys(LINEARS, "int8") | {LINEARS[0]: "fp32"}
    *_, last = write_policy(choice_of(chosen, losses), losses).rules
    assert last.why == "int8 cannot be had here"


def test_the_policy_can_be_written_and_read(tmp_path):
    policy = write_policy(choice_of(dict.fromkeys(LINEARS, "int8") | {LINEARS[0]: "fp32"}), LOSSES)
    (tmp_path / "policy.yaml").write_text(policy.to_yaml())
    assert "# costs" in policy.to_yaml()
    again = Policy.load(tmp_path / "policy.yaml")
    assert [rule.model_copy(update={"why": ""}) for rule in policy.rules] == again.rules
