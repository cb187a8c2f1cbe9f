"""The speed of one pair of recipe and target beside its original."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.machine.meter import Silent
from exporter.manifest import EnginesPart, read_manifest, write_manifest
from exporter.recipe.recipe import Recipe
from exporter.targets.target import load_target
from tests.toy_bundle import without_sampler
from tests.validate.bench.toy_original import register_toy
from tests.validate.proved_bundle import RECIPE
from validate.ci import measure_pair
from validate.ci.measure_pair import RecipeOnTarget, time_step


@pytest.fixture
def pair(own_bundle, monkeypatch):
    register_toy(monkeypatch, own_bundle)
    monkeypatch.setattr(measure_pair, "STEP_SECONDS", 0.0)
    return RecipeOnTarget(Recipe.model_validate(RECIPE), load_target("cpu"), own_bundle)


def with_changes(folder, **changes):
    write_manifest(folder, read_manifest(folder).model_copy(update=changes))


def test_a_step_is_timed_beside_the_originals(pair):
    found = time_step(pair, Silent())
    assert 0 < found.low <= found.ratio <= found.high and found.processor


def test_without_a_sampler_or_where_the_target_does_not_run_there_is_no_step(pair):
    assert time_step(replace(pair, target=load_target("web")), Silent()) is None
    stages = read_manifest(pair.folder).stages
    with_changes(pair.folder, engines=EnginesPart(state="to be built on the device", run=["./build.sh"]))
    assert time_step(pair, Silent()) is None
    with_changes(pair.folder, engines=None, stages=without_sampler(stages))
    assert time_step(pair, Silent()) is None
