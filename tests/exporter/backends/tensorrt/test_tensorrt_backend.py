"""Builds for TensorRT where there is a GPU (a fake one), and what a build refuses or warns of."""

from __future__ import annotations

import json

import pytest

from exporter.backends.tensorrt.device import gpu_is_one_of
from exporter.backends.tensorrt.memory import memory_warnings
from exporter.backends.tensorrt.profiles import sizes_of
from exporter.build.build import build
from exporter.errors import EnvironmentProblem, RecipeError, ValidationFailed
from exporter.pipeline.tensor import POINTS_AT_ONCE, RAYS_AT_ONCE, TensorSpec
from exporter.runtime.batch import batch_size
from exporter.runtime.sessions.tensorrt import TensorRtSession
from exporter.targets.target import load_target


def test_where_the_gpu_is_engines_are_built_and_checked(orin, fake_tensorrt, built_kit, recipe, step_cache, tmp_path):
    report = build(recipe, load_target("orin"), tmp_path / "tiny", cache=step_cache)
    engines = report.manifest.engines
    assert engines.state == "built" and engines.stages.keys() == report.manifest.stages.keys()
    assert all(part.file in report.manifest.files for part in engines.stages.values())
    assert "build engines" in [step.name for step in report.steps]
    assert len(report.parities) == len(built_kit.parities) and all(parity.passed for parity in report.parities)


def test_an_engine_that_misses_fails_the_build(
    orin, fake_tensorrt, built_kit, recipe, step_cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("FAKE_ERROR", "0.9")
    with pytest.raises(ValidationFailed, match="FAILED"):
        build(recipe, load_target("orin"), tmp_path / "tiny", cache=step_cache)
    assert not (tmp_path / "tiny").exists()


def test_a_gpu_of_another_kind_builds_no_engines(fake_tensorrt):
    assert gpu_is_one_of(["8.6", "8.7"]) and not gpu_is_one_of(["7.5"])


def test_without_tensorrt_no_gpu_is_looked_for():
    assert not gpu_is_one_of(["8.7"])


def test_a_session_without_tensorrt_says_where_it_comes_from(tmp_path):
    (tmp_path / "x.plan").write_bytes(b"")
    with pytest.raises(EnvironmentProblem, match=r"no package 'tensorrt'.*python3-libnvinfer"):
        TensorRtSession(tmp_path / "x.plan")


def test_a_device_too_small_is_told(built_kit, recipe, step_cache, tmp_path):
    small = load_target("orin").model_copy(update={"memory_limit_mb": 1000})
    with pytest.raises(RecipeError, match="cannot hold this bundle: 0 MB of weights and 4096 MB of workspace, of 1000"):
        build(recipe, small, tmp_path / "tiny", cache=step_cache)


def test_a_device_that_is_nearly_full_is_a_warning(tmp_path):
    tight = load_target("orin").model_copy(update={"memory_limit_mb": 5000})
    assert "memory will be short" in memory_warnings(tmp_path, [], tight)[0]
    assert memory_warnings(tmp_path, [], load_target("orin")) == []


def test_sizes_of_dynamic_dimensions():
    latents = TensorSpec("latents", "float32", ("batch", 64, 32))
    points = TensorSpec("points", "float32", ("batch", "points", 3))
    rays = TensorSpec("rays", "float32", ("batch", "rays", 2, 3))
    assert sizes_of([latents], 16)["batch"].most == 16
    assert sizes_of([latents], 1)["batch"].most == 1
    field = sizes_of([points, latents], 16)
    assert (field["batch"].most, field["points"].least, field["points"].most) == (1, 1, POINTS_AT_ONCE)
    drawn = sizes_of([rays, latents], 16)
    assert (drawn["batch"].most, drawn["rays"].least, drawn["rays"].most) == (1, 1, RAYS_AT_ONCE)


def test_engines_take_as_many_objects_as_are_sampled_together(built_kit):
    stages = json.loads((built_kit.out / "kit.json").read_text())["stages"]
    inputs = {name: [one for one in stage["inputs"].values() if one["dynamic"]] for name, stage in stages.items()}
    most = {name: {one["max"][0] for one in own} for name, own in inputs.items()}
    several, alone = {batch_size(built_kit.manifest)}, {1}
    assert several == {16}
    assert most == dict.fromkeys(["text_encoder", "denoiser", "projector"], several) | {
        "field": alone, "renderer": alone
    }  # fmt: skip
