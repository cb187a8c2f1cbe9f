"""How cost grows, on the toy bundle."""

from __future__ import annotations

import json

import pytest

from exporter.errors import RecipeError
from exporter.families.shap_e.random_weights import RANDOM_CONFIGS, SHAP_E_300M, scaled
from exporter.machine.meter import Silent
from exporter.manifest import read_manifest, write_manifest
from tests.toy_bundle import without_sampler, write_toy_bundle
from validate.bench import sweep as module
from validate.bench import sweep_points
from validate.bench.fresh import Fresh
from validate.bench.measure import BenchSettings
from validate.bench.sweep import exponent, run_sweep, tell_sweep

SETTINGS = BenchSettings(threads=1, rounds=2, prompt="a red ball", grid=16)


@pytest.fixture
def orders(monkeypatch):
    """Fresh processes replaced; gives what they were asked to make."""
    seen = []

    def fresh(order):
        seen.append(order)
        return Fresh(1.0, 1.0, 10, 1000 * order.objects * order.grid)

    monkeypatch.setattr(module, "fresh", fresh)
    return seen


def test_an_exponent_is_the_slope_of_the_logarithms():
    assert exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2.0)
    assert exponent([1, 10], [5.0, 5.0]) == pytest.approx(0.0)
    assert exponent([1], [5.0]) is None


def test_prompts(toy_bundle, orders):
    found = run_sweep("prompts", toy_bundle, ["4", "1"], SETTINGS, Silent())
    assert [(p.label, p.size, len(p.seconds)) for p in found.points] == [("1", 1, 2), ("4", 4, 2)]
    assert [order.objects for order in orders] == [1, 4]
    told = tell_sweep(found)
    assert told.data["exponents"]["memory"]["all"] == pytest.approx(1.0)
    assert json.loads(json.dumps(told.data))["points"][1]["peak_bytes"] == 64000
    assert "memory: exponent 1.00" in told.markdown()


def test_steps_stop_the_sampler_early(toy_bundle, orders):
    found = run_sweep("steps", toy_bundle, [], SETTINGS, Silent())
    assert [p.size for p in found.points] == [1, 2, 3] and [order.evaluations for order in orders] == [1, 2, 3]
    with pytest.raises(RecipeError, match="has 3 evaluations"):
        run_sweep("steps", toy_bundle, ["4"], SETTINGS, Silent())


def test_a_sampler_in_one_program_has_no_sweep_of_steps(tmp_path):
    whole = write_toy_bundle(tmp_path / "full", "full")
    with pytest.raises(RecipeError, match="cannot stop early"):
        run_sweep("steps", whole, [], SETTINGS, Silent())


def test_what_a_pipeline_does_not_have_cannot_be_swept(own_bundle):
    manifest = read_manifest(own_bundle)
    write_manifest(own_bundle, manifest.model_copy(update={"stages": without_sampler(manifest.stages), "assets": {}}))
    with pytest.raises(RecipeError, match="nothing is sampled"):
        run_sweep("steps", own_bundle, [], SETTINGS, Silent())
    with pytest.raises(RecipeError, match="makes no mesh"):
        run_sweep("grid", own_bundle, [], SETTINGS, Silent())


def test_grids(toy_bundle, orders):
    found = run_sweep("grid", toy_bundle, ["8", "16"], SETTINGS, Silent())
    assert [p.label for p in found.points] == ["8³", "16³"] and [order.grid for order in orders] == [8, 16]


def test_a_point_that_is_no_number_is_told(toy_bundle):
    with pytest.raises(RecipeError, match="found 'many'"):
        run_sweep("grid", toy_bundle, ["8", "many"], SETTINGS, Silent())


def test_weights_are_built_for_it_and_measured_by_their_parameters(toy_bundle, orders, monkeypatch, tmp_path):
    asked = []

    def build(like, weights, folder, progress):
        asked.append(weights)
        write_toy_bundle(folder)
        return like.manifest, 1000 * len(asked)

    monkeypatch.setattr(sweep_points, "_build", build)
    found = run_sweep("weights", toy_bundle, ["shap-e-1m", "shap-e-5m"], SETTINGS, Silent())
    assert asked == ["random:shap-e-1m", "random:shap-e-5m"] and [p.size for p in found.points] == [1000, 2000]
    assert not list(toy_bundle.parent.glob("t3export-sweep-*"))


def test_random_sizes_are_the_full_one_scaled():
    assert scaled(1024, 24) == SHAP_E_300M
    parameters = {name: denoiser_parameters(config["prior"]) for name, config in RANDOM_CONFIGS.items()}
    assert list(parameters.values()) == sorted(parameters.values())
    for name, count in parameters.items():
        assert count / 1e6 == pytest.approx(float(name.removeprefix("shap-e-").removesuffix("m")), rel=0.35)


def denoiser_parameters(prior):
    import torch
    from diffusers import PriorTransformer

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in PriorTransformer.from_config(prior).parameters())
