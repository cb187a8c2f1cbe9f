"""Synthetic outliers: the same function, wider activations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import T3Error, WeightsError
from exporter.families.registry import load_model
from exporter.families.stress import is_synthetic, split_name
from exporter.runtime.inputs.noise import noise
from exporter.runtime.run import make
from exporter.workshop.parity import compare
from tests.exporter.tiny import tiny_recipe


@pytest.fixture(scope="module")
def stressed(tiny_folder):
    return load_model("shap-e", f"stress:{tiny_folder}:64")


def ranges(model):
    """The largest magnitude of what goes into each linear layer of the prior, on one evaluation."""
    prior = model.prior()
    seen = {}
    for name, layer in prior.named_modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_pre_hook(lambda _, x, name=name: seen.update({name: float(x[0].abs().max())}))
    sample = torch.from_numpy(noise(0, (1, prior.config.num_embeddings, prior.config.embedding_dim)))
    with torch.inference_mode():
        prior(sample, 7, torch.ones(1, prior.config.embedding_proj_dim))
    return seen


def latents(model):
    return make(model.original(tiny_recipe()), [{"prompt": "a red chair"}], [0])["latents"]


def test_a_power_of_two_leaves_the_output_as_it_is(tiny, stressed):
    assert compare(latents(tiny), latents(stressed)).snr_db > 110


def test_another_factor_leaves_it_to_rounding(tiny, tiny_folder):
    assert compare(latents(tiny), latents(load_model("shap-e", f"stress:{tiny_folder}:50.5"))).snr_db > 100


def test_the_denoiser_stage_has_the_outliers_too(stressed, tiny):
    plain, changed = (model.modules(tiny_recipe())["denoiser"]().state_dict() for model in (tiny, stressed))
    differ = {name for name in plain if not torch.equal(plain[name], changed[name])}
    assert len(differ) == 16 and all("transformer_blocks" in name for name in differ)


def test_only_the_layers_behind_a_normalisation_see_wider_activations(tiny, stressed):
    plain, wide = ranges(tiny), ranges(stressed)
    grown = {name for name in plain if wide[name] > 10 * plain[name]}
    assert grown == {
        f"transformer_blocks.{i}.{name}" for i in range(2)
        for name in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "ff.net.0.proj")
    }  # fmt: skip
    assert all(wide[name] == pytest.approx(plain[name], rel=1e-3) for name in plain.keys() - grown)


def test_it_says_what_it_is_and_is_the_same_every_time(tiny, tiny_folder, stressed):
    assert is_synthetic(stressed.weights_source) and not is_synthetic(tiny.weights_source)
    assert stressed.trained == tiny.trained
    again, other = (load_model("shap-e", f"stress:{tiny_folder}{factor}") for factor in ("", ":32"))
    assert again.weights_digest == stressed.weights_digest
    assert len({model.weights_digest for model in (tiny, stressed, other)}) == 3
    first, second = again.prior().state_dict(), stressed.prior().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "weights", "factor"),
    [
        ("stress:shap-e-mini", "shap-e-mini", 64.0),
        ("stress:shap-e-mini:16", "shap-e-mini", 16.0),
        ("stress:random:shap-e-300m", "random:shap-e-300m", 64.0),
        ("stress:random:shap-e-mini:7:8.5", "random:shap-e-mini:7", 8.5),
        ("stress:org/name:2e1", "org/name", 20.0),
    ],
)
def test_names(name, weights, factor):
    assert split_name(name) == (weights, factor)


@pytest.mark.parametrize("name", ["stress:", "stress::64", "stress:x:1", "stress:x:-4", "stress:x:nan", "stress:x:inf",
                                  "stress:stress:x", "stress:x:1e999", "stress:x:1.2.3"])  # fmt: skip
def test_wrong_names_are_told(name):
    with pytest.raises(WeightsError, match="stress:shap-e-mini:64"):
        split_name(name)


@given(st.text(st.sampled_from("stre:xz0123.-e/nai "), max_size=12))
def test_any_name_is_split_or_told(text):
    try:
        weights, factor = split_name(f"stress:{text}")
    except T3Error:
        return
    assert weights and factor > 1 and text.startswith(weights)
