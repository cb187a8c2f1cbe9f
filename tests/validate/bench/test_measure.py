"""Whole benchmarks of the toy bundle, also beside a reference in PyTorch."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
from diffusers import DDIMScheduler
from exporter.families.family import Reference

from exporter.errors import BundleError, EnvironmentProblem
from exporter.families import registry
from exporter.machine.meter import Silent
from exporter.runtime.bundle import Bundle
from tests.validate.proved_bundle import prove, toy_family
from validate.bench.measure import BenchSettings, measure
from validate.bench.sides import STAGES, TO_MESH
from validate.bench.timings import END_TO_END, STEP

SETTINGS = BenchSettings(threads=1, rounds=2, prompt="a red ball", fresh=False)


class ToyReference(Reference):
    """The toy bundle's model, its network in PyTorch and the rest of it the bundle's own programs."""

    def __init__(self, bundle, sampler):
        scheduler = DDIMScheduler(num_train_timesteps=1000, prediction_type="sample", clip_sample=False)
        super().__init__(scheduler, bundle.latent_shape, sampler)
        self.encode, self.project, self.field, self.render = bundle.encode, bundle.project, bundle.field, bundle.render

    def encode(self, prompts): ...
    def field(self, points, context): ...

    def predict(self, sample, timestep, embedding):
        return embedding.reshape(-1, 2, 4) + 0.001 * sample


@pytest.fixture
def toy(toy_bundle, tmp_path):
    """The folder of a bundle whose family is registered for the test."""
    folder = prove(shutil.copytree(toy_bundle, tmp_path / "proved"))
    with toy_family(folder):
        loaded = SimpleNamespace(
            weights_digest="0" * 64, reference=lambda sampler, render: ToyReference(Bundle.open(folder), sampler)
        )
        registry.register("toy", lambda weights: loaded)
        yield folder


def test_bundles_are_compared_in_turns(toy_bundle, tmp_path):
    other = shutil.copytree(toy_bundle, tmp_path / "other")
    result = measure([toy_bundle, other], SETTINGS, Silent())
    first, second = result.sides
    assert set(first.seconds) == set(STAGES) and all(len(taken) == 2 for taken in first.seconds.values())
    assert (first.kind, first.evaluations, first.composed) == ("bundle", 3, False)
    assert first.stored_bytes > first.program_bytes > 0
    assert result.speed(first, second).ratio * result.speed(second, first).low < 10
    told = json.loads(json.dumps(result.to_dict()))
    assert set(told["sides"][0]["times_as_fast_as"]) == {str(other)}
    assert told["sides"][0]["p90"][END_TO_END] >= told["sides"][0]["p50"][END_TO_END]
    assert told["machine"]["threads"] == 1 and "gpus" not in told["machine"]


def test_end_to_end_is_the_sum_of_the_stages_up_to_the_mesh(toy_bundle):
    (side,) = measure([toy_bundle], SETTINGS, Silent()).sides
    assert side.rounds(END_TO_END)[0] == pytest.approx(sum(side.seconds[stage][0] for stage in TO_MESH))
    assert side.rounds(STEP)[1] == pytest.approx(side.seconds["diffusion"][1] / 3)


def test_a_baseline_that_takes_long_is_composed_and_a_short_one_runs_in_full(toy):
    settings = BenchSettings(
        baselines=("torch",), threads=1, rounds=1, prompt="a red ball", scheduler="ddim", fresh=False
    )
    composed, bundle = measure([toy], BenchSettings(**{**vars(settings), "limit_seconds": 0.0}), Silent()).sides
    assert (composed.name, composed.composed, composed.evaluations) == ("torch", True, 64)
    assert bundle.kind == "bundle" and not bundle.composed and bundle.evaluations == 3
    full, _ = measure([toy], settings, Silent()).sides
    assert not full.composed and full.seconds["diffusion"][0] > 0


def test_a_baseline_that_cannot_be_made_says_why_and_the_others_go_on(toy):
    settings = BenchSettings(baselines=("naive", "torch"), threads=1, rounds=1, scheduler="ddim", steps=3, fresh=False)
    naive, torch, bundle = measure([toy], settings, Silent()).sides
    assert naive.reason == "TypeError: ToyReference does not say which its network is"
    assert not torch.reason and torch.evaluations == 3 and not bundle.reason


def test_every_side_has_a_fresh_process(toy_bundle):
    (side,) = measure([toy_bundle], BenchSettings(threads=1, rounds=1, prompt="a red ball"), Silent()).sides
    assert len(side.load_seconds) == 3 and side.fresh.peak_bytes > 20e6


def test_what_is_no_bundle_is_told(tmp_path):
    with pytest.raises(BundleError, match="not a bundle"):
        measure([tmp_path], SETTINGS, Silent())


def test_a_process_that_dies_leaves_its_side_without_memory_and_the_rest_as_it_was(toy_bundle, monkeypatch):
    def dies(order):
        raise EnvironmentProblem("ended with -9")

    monkeypatch.setattr("validate.bench.measure.fresh", dies)
    with pytest.warns(UserWarning, match="no load time and memory of .*ended with -9"):
        (side,) = measure([toy_bundle], BenchSettings(**{**vars(SETTINGS), "fresh": True}), Silent()).sides
    assert side.fresh is None and side.seconds and not side.reason
