"""Whole benchmarks of the toy bundle, also beside an original in PyTorch."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import onnx
import pytest

from exporter.errors import BundleError, EnvironmentProblem
from exporter.families import registry
from exporter.machine.meter import Silent
from exporter.manifest import StagePart, list_files, read_manifest, write_manifest
from exporter.pipeline.assets import ImageAsset
from exporter.pipeline.tensor import TensorSpec
from tests.validate.bench.toy_original import register_toy
from validate.bench.measure import BenchSettings, measure
from validate.bench.timings import END_TO_END, STEP

SETTINGS = BenchSettings(threads=1, rounds=2, prompt="a red ball", fresh=False)


@pytest.fixture
def toy(own_bundle, monkeypatch):
    """The folder of a bundle whose family is registered for the test."""
    register_toy(monkeypatch, own_bundle)
    return own_bundle


def test_bundles_are_compared_in_turns(toy_bundle, tmp_path):
    other = shutil.copytree(toy_bundle, tmp_path / "other")
    result = measure([toy_bundle, other], SETTINGS, Silent())
    first, second = result.sides
    assert list(first.seconds) == ["inputs", "text_encoder", "denoiser", "projector", "field", "mesh"]
    taken = [*first.seconds.values(), *first.besides.values(), *first.step_seconds.values()]
    assert list(first.besides) == ["image"] and all(len(rounds) == 2 for rounds in taken)
    assert (first.kind, first.evaluations, first.composed) == ("bundle", 3, False)
    assert first.sampler == "euler, 3 steps" and result.settings["asset"] == "mesh"
    assert (result.settings["grid"], result.settings["picture"]) == (24, 16)
    assert first.stored_bytes > first.program_bytes > 0
    assert result.speed(first, second).ratio * result.speed(second, first).low < 10
    told = json.loads(json.dumps(result.to_dict()))
    assert set(told["sides"][0]["times_as_fast_as"]) == {str(other)}
    assert told["sides"][0]["p90"][END_TO_END] >= told["sides"][0]["p50"][END_TO_END]
    assert told["machine"]["threads"] == 1 and "gpus" not in told["machine"]


def test_end_to_end_is_the_sum_of_the_parts_up_to_the_mesh(toy_bundle):
    (side,) = measure([toy_bundle], SETTINGS, Silent()).sides
    assert side.rounds(END_TO_END)[0] == pytest.approx(sum(taken[0] for taken in side.seconds.values()))
    assert side.rounds(STEP)[1] == pytest.approx(side.seconds["denoiser"][1] / 3)


@pytest.fixture
def light_field(own_bundle):
    """A bundle of one network that makes a picture of rays and takes nothing else."""
    program = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]>
        light (float[batch, rays, 2, 3] rays) => (float[batch, rays, 3] color) {
            axis = Constant<value_ints: ints = [2]>()
            color = ReduceMax<keepdims: int = 0>(rays, axis)
        }"""
    )
    onnx.save(program, own_bundle / "light.onnx")
    stage = StagePart(
        kind="render",
        program="light.onnx",
        inputs=[TensorSpec("rays", "float32", ("batch", "rays", 2, 3))],
        outputs=[TensorSpec("color", "float32", ("batch", "rays", 3))],
        precision="fp32",
        size=(own_bundle / "light.onnx").stat().st_size,
    )
    image = ImageAsset(stage="light", size=8)
    changes = {"inputs": {}, "stages": {"light": stage}, "assets": {"image": image}, "files": list_files(own_bundle)}
    write_manifest(own_bundle, read_manifest(own_bundle).model_copy(update=changes))
    return own_bundle


def test_a_pipeline_of_one_renderer_is_measured_all_the_same(light_field):
    settings = BenchSettings(threads=1, rounds=2)
    (side,) = measure([light_field], settings, Silent()).sides
    assert list(side.seconds) == ["inputs", "light", "image"] and side.besides == side.step_seconds == {}
    assert (side.sampler, side.evaluations, side.rounds(STEP)) == ("", 0, [])
    assert side.rounds(END_TO_END)[1] == pytest.approx(sum(taken[1] for taken in side.seconds.values()))
    assert side.fresh.seconds > 0 and side.fresh.peak_bytes > 20e6


def test_a_baseline_that_takes_long_is_composed_and_a_short_one_runs_in_full(toy):
    settings = BenchSettings(
        baselines=("torch",), threads=1, rounds=1, prompt="a red ball", original=("ddim", 64), fresh=False
    )
    composed, bundle = measure([toy], BenchSettings(**{**vars(settings), "limit_seconds": 0.0}), Silent()).sides
    assert (composed.name, composed.composed, composed.evaluations) == ("torch", True, 64)
    assert bundle.kind == "bundle" and not bundle.composed and bundle.evaluations == 3
    full, _ = measure([toy], settings, Silent()).sides
    assert not full.composed and full.seconds["denoiser"][0] > 0


def test_a_baseline_that_cannot_be_made_says_why_and_the_others_go_on(toy):
    settings = BenchSettings(baselines=("naive", "torch"), threads=1, rounds=1, original=("ddim", 3), fresh=False)
    naive, torch, bundle = measure([toy], settings, Silent()).sides
    assert naive.reason == "TypeError: ToyOriginal does not say which its network is"
    assert not torch.reason and torch.evaluations == 3 and not bundle.reason


def test_each_model_among_the_bundles_has_baselines_of_its_own(toy, tmp_path, monkeypatch):
    other = shutil.copytree(toy, tmp_path / "other")
    manifest = read_manifest(other)
    weights = manifest.weights.model_copy(update={"source": "other", "digest": "1" * 64})
    write_manifest(other, manifest.model_copy(update={"weights": weights}))
    load = registry._loaders["toy"]
    own = SimpleNamespace(**{**vars(load("toy")), "weights_digest": "1" * 64})
    monkeypatch.setitem(registry._loaders, "toy", lambda source: own if source == "other" else load(source))
    twice = shutil.copytree(toy, tmp_path / "twice")
    settings = BenchSettings(**{**vars(SETTINGS), "baselines": ("torch",), "original": ("ddim", 3), "rounds": 1})
    result = measure([toy, other, twice], settings, Silent())
    assert [side.name for side in result.sides] == [
        f"torch of {toy}",
        f"torch of {other}",
        *map(str, (toy, other, twice)),
    ]
    assert not any(side.reason for side in result.sides) and all(side.rounds(END_TO_END) for side in result.sides)
    assert result.settings["weights"] == f"{read_manifest(toy).weights.source}, other"


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
