"""A kit finished on its device, which is a fake one, and what is then in the manifest."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from exporter.backends.tensorrt.finish import finish
from exporter.errors import BundleError, EnvironmentProblem, ValidationFailed
from exporter.files.atomic import sha256_of
from exporter.manifest import NUMERICS, PERF, bundle_digest, read_manifest, record_verdict, require_whole
from exporter.runtime.bundle import Bundle
from exporter.runtime.run import make, requests_of
from exporter.workshop.measured import read_measured
from tests.exporter.backends.tensorrt.conftest import Device
from tests.exporter.test_manifest import verdict


def quiet(line):
    pass


@pytest.fixture(scope="module")
def finished(built_kit, tmp_path_factory):
    """The kit, once validated, then finished; not to be changed."""
    folder = shutil.copytree(built_kit.out, tmp_path_factory.mktemp("finished") / "kit")
    record_verdict(folder, verdict(built_kit.manifest))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in Device().environment.items():
            patch.setenv(name, value)
        return folder, finish(folder, on_line=quiet)


def test_engines_become_files_of_the_bundle(built_kit, finished):
    folder, report = finished
    manifest = require_whole(folder)
    assert manifest == report.manifest and report.built == list(manifest.stages)
    engines = manifest.engines
    assert engines.state == "built" and engines.kit_digest == built_kit.digest != bundle_digest(manifest)
    assert manifest.validation is None, "the verdict was about other programs"
    assert engines.device["tensorrt"] == "10.3.0" and engines.device["compute_capability"] == "8.7"
    for part in engines.stages.values():
        assert manifest.files[part.file].sha256 == sha256_of(folder / part.file)
        assert part.milliseconds > 0 and part.worst_snr_db > 5
    assert engines.stages["denoiser"].int8_products == 8


def test_the_device_adds_what_it_costs_and_how_exact_it_is(built_kit, finished):
    folder, report = finished
    before = read_measured(built_kit.out, PERF)
    assert before["measured"] == [] and "`t3export finish .` in this folder, there" in before["missing"]
    costs = read_measured(folder, PERF)
    assert "missing" not in costs and costs["digest"] == bundle_digest(report.manifest)
    assert costs["stages"] == before["stages"] and before["stages"]["denoiser"]["operators"]["MatMul"]["int8"] == 8
    [entry] = costs["measured"]
    assert entry["where"]["tensorrt"] == "10.3.0" and set(entry["stages"]) == set(report.manifest.stages)
    assert all(one["milliseconds"] > 0 and one["device_memory_bytes"] > 0 for one in entry["stages"].values())
    here, there = read_measured(folder, NUMERICS)["measured"]
    assert "stand_in" in here["where"] and there["where"] == entry["where"]
    assert there["stages"]["denoiser"]["passed"] and set(there["stages"]["denoiser"]["outputs"]) == {
        "next_sample", "prediction",
    }  # fmt: skip


def test_finished_again_nothing_is_built_twice_and_the_kit_is_remembered(orin, finished, tmp_path):
    folder, first = finished
    again = finish(shutil.copytree(folder, tmp_path / "again"), on_line=quiet)
    assert not again.built and again.manifest.engines.kit_digest == first.manifest.engines.kit_digest


def test_rebuilt_all_engines_are_built(orin, finished, tmp_path):
    folder, first = finished
    assert finish(shutil.copytree(folder, tmp_path / "again"), rebuild=True, on_line=quiet).built == first.built


def test_engines_built_by_hand_are_taken_and_are_no_damage_before(orin, kit):
    assert orin.run(kit, "bash", "build_engines.sh").returncode == 0
    assert require_whole(kit).engines.state == "to be built on the device"
    assert finish(kit, on_line=quiet).built == []


def test_what_the_scripts_and_others_leave_behind_is_no_part_of_the_bundle(orin, kit):
    assert orin.run(kit, "bash", "build_engines.sh").returncode == 0
    assert orin.run(kit, "python", "verify.py").returncode == 0
    (kit / "engines/.DS_Store").touch()
    assert list(kit.glob("__pycache__/*.pyc"))
    before = read_manifest(kit).files.keys()
    finish(kit, on_line=quiet)
    engines = {"engines/timing.cache", *(f"engines/{name}.plan" for name in read_manifest(kit).stages)}
    assert require_whole(kit).files.keys() - before == engines


def test_finished_engines_that_were_built_again_by_hand_are_proved_again(orin, finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "again")
    plan = folder / "engines/field.plan"
    plan.write_text(plan.read_text() + "\n")
    finish(folder, on_line=quiet)
    assert require_whole(folder).files["engines/field.plan"].sha256 == sha256_of(plan)


def test_a_changed_engine_is_damage(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "changed")
    (folder / "engines/field.plan").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"engines/field\.plan"):
        require_whole(folder)


def test_an_engine_that_misses_leaves_the_manifest_alone(orin, kit, monkeypatch):
    monkeypatch.setenv("FAKE_ERROR", "0.9")
    before = read_manifest(kit)
    with pytest.raises(ValidationFailed, match=r"verify.py.*failed \(5\)(.|\n)*FAILED prediction"):
        finish(kit, on_line=quiet)
    assert read_manifest(kit) == before


def test_without_tensorrt_nothing_is_tried(kit):
    with pytest.raises(EnvironmentProblem, match=r"no Python with TensorRT and numpy.*python3-libnvinfer"):
        finish(kit, on_line=quiet)


def test_polygraphy_builds_where_trtexec_is_not(orin, kit, monkeypatch):
    monkeypatch.setenv("TRTEXEC", "/nowhere/trtexec")
    lines = []
    assert finish(kit, on_line=lines.append).built
    assert any("Finished engine building" in line for line in lines)


def test_a_bundle_without_engines_has_nothing_to_finish(toy_bundle):
    with pytest.raises(BundleError, match="nothing to finish: target 'cpu' needs no engines"):
        finish(toy_bundle)


def test_unfinished_it_is_refused_and_finish_is_named(kit):
    with pytest.raises(BundleError, match=r"on the device \(orin\).*`t3export finish \.`.*--on onnxruntime"):
        Bundle.open(kit)


def test_finished_it_generates_on_its_engines(fake_tensorrt, finished):
    folder, _ = finished
    bundle, programs = Bundle.open(folder), Bundle.open(folder, stand_in="onnxruntime")
    requests = requests_of(bundle.pipeline, ["a red chair", "a table", "a tall mug"])
    run, other = (make(side, requests, [0, 1, 2]) for side in (bundle, programs))
    assert np.allclose(run["latents"], other["latents"], atol=1e-3)
    points = np.random.default_rng(0).uniform(-1, 1, (3, 40, 3)).astype(np.float32)
    found = bundle.run_program("field", run.taken_by("field") | {"points": points})
    assert found["color"].shape == (3, 40, 3), "the field's engine takes one object: three run in parts"
