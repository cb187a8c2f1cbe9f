"""A bundle on disk against the reference it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.errors import BundleError, WeightsError
from exporter.manifest import bundle_digest, read_manifest, require_whole
from tests.toy_bundle import write_toy_bundle
from tests.validate.proved_bundle import break_program, fresh, prove, toy_family
from validate.judge.judge_errors import EvaluatorError, PromptsError
from validate.ladder.report import record_in_bundle
from validate.prove import RANDOM_REFUSAL, Options, validate_bundle

pytestmark = pytest.mark.usefixtures("judge_that_guesses")

CHEAP = Options(quality=False)


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prove(write_toy_bundle(tmp_path_factory.mktemp("proved") / "bundle"))


@pytest.fixture(autouse=True)
def _family(proved: Path) -> Iterator[None]:
    with toy_family(proved):
        yield


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captions") / "captions.txt"
    path.write_text("a red ball\na green ball\na blue ball\nnothing\n")
    return path


def test_an_untouched_bundle_passes_quality_included(proved: Path, clip_folder: Path, captions: Path) -> None:
    counted: list[str] = []
    options = Options(prompts=captions, evaluator=clip_folder, seeds=2)
    report = validate_bundle(proved, options, progress=lambda what, done, total: counted.append(what))
    assert {rung.name: rung.status for rung in report.rungs} == dict.fromkeys(
        ["stages", "steps", "latents", "shape", "renders", "quality"], "passed"
    )
    quality = report.rungs[-1]
    assert quality.details["only_bundle_hits"] == 0 and len(quality.details["objects"]) == 8
    assert [row["bundle"]["empty"] for row in quality.details["objects"]] == [False] * 6 + [True] * 2
    assert {"reference objects", "bundle objects", "denoiser steps", "bundle models to look at"} <= set(counted)
    rates, *open_ended = quality.details["comparisons"]
    assert rates["reference"] == rates["bundle"] and rates["p"] == 1
    assert -rates["low"] == pytest.approx(rates["high"]) and 30 < rates["high"] < 35
    assert all(one["low"] == "-inf" and one["high"] == "inf" for one in open_ended)
    assert rates["bundle_interval"][0] <= rates["bundle"] <= rates["bundle_interval"][1]
    assert {one["measure"] for one in open_ended} <= {"diversity", "sharpness", "best cosine", "consistent"}
    drift = next(rung for rung in report.rungs if rung.name == "latents").details["drift"]
    assert drift == [{"stage": "denoiser", "evaluation": step, "relative_l2": 0.0} for step in range(3 + 1)]
    assert [(one.prompt, one.bundle.mesh.is_empty) for one in report.exhibits][2:] == [
        ("a blue ball", False),
        ("nothing", True),
    ]
    assert report.exhibits[0].bundle.render.shape == (64, 64, 3)
    assert report.layers == () and "no modules" in report.layers_left_out


def test_the_references_objects_are_made_once(proved: Path, clip_folder: Path, captions: Path) -> None:
    def validate(**changes: object) -> tuple[list[str], dict]:
        counted: list[str] = []
        options = Options(rungs=("quality",), prompts=captions, evaluator=clip_folder, **changes)
        report = validate_bundle(proved, options, progress=lambda what, done, total: counted.append(what))
        return sorted(set(counted)), report.rungs[0].to_dict()

    both = ["bundle objects", "reference objects"]
    first, again, anew, more = validate(), validate(), validate(cache=False), validate(seeds=2)
    assert [first[0], again[0], anew[0], more[0]] == [both, ["bundle objects"], both, both]
    assert again[1]["details"]["reference_from_cache"] and not anew[1]["details"]["reference_from_cache"]
    assert first[1]["figures"] == again[1]["figures"] == anew[1]["figures"]


def test_a_broken_program_is_named(proved: Path, tmp_path: Path) -> None:
    folder = fresh(proved, tmp_path)
    break_program(folder, "denoiser", "coefficients", 1.01)
    report = validate_bundle(folder, CHEAP)
    assert [rung.name for rung in report.rungs if rung.status == "failed"] == ["stages", "steps"]
    assert report.rungs[1].summary.startswith("denoiser next_sample, evaluation")
    assert not report.verdict().passed


def test_the_verdict_is_recorded_and_the_digest_stays(proved: Path, tmp_path: Path) -> None:
    folder = fresh(proved, tmp_path)
    before = bundle_digest(read_manifest(folder))
    path = record_in_bundle(validate_bundle(folder, CHEAP), folder)
    manifest = require_whole(folder)
    assert manifest.validation is not None and manifest.validation.passed
    assert [rung.name for rung in manifest.validation.rungs] == ["stages", "steps", "latents", "shape", "renders"]
    assert manifest.validation.bundle_digest == bundle_digest(manifest) == before
    assert path == folder / manifest.validation.report
    assert json.loads(path.read_text())["bundle_digest"] == before


def test_quality_of_random_weights_is_refused_and_the_rest_runs(tmp_path: Path) -> None:
    folder = prove(write_toy_bundle(tmp_path / "bundle"), trained=False)
    report = validate_bundle(folder, Options())
    assert [rung.status for rung in report.rungs] == ["passed"] * 5 + ["refused"]
    assert report.rungs[-1].reason == RANDOM_REFUSAL and report.passed
    assert "quality" not in [rung.name for rung in report.verdict().rungs]


def test_a_sampler_in_one_program_skips_what_cannot_be_seen(tmp_path: Path) -> None:
    folder = prove(write_toy_bundle(tmp_path / "bundle", unroll="full"))
    with toy_family(folder):
        report = validate_bundle(folder, CHEAP)
    assert {rung.name: rung.status for rung in report.rungs} == {
        "stages": "passed", "steps": "skipped", "latents": "passed", "shape": "passed", "renders": "skipped",
    }  # fmt: skip
    assert "unroll: full" in report.rungs[1].reason and "makes no image" in report.rungs[4].reason


def test_damage_is_found_before_anything_runs(proved: Path, tmp_path: Path) -> None:
    folder = fresh(proved, tmp_path)
    data = bytearray((folder / "field.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "field.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"field\.onnx"):
        validate_bundle(folder, CHEAP)


def test_other_weights_than_the_bundles_are_refused(proved: Path) -> None:
    with toy_family(proved, digest="1" * 64), pytest.raises(WeightsError, match="not the weights"):
        validate_bundle(proved, CHEAP)


def test_wrong_options_are_told_at_once(proved: Path, tmp_path: Path, clip_folder: Path) -> None:
    with pytest.raises(EvaluatorError, match=r"config\.json is missing"):
        validate_bundle(proved, Options(evaluator=tmp_path))
    single = tmp_path / "one.txt"
    single.write_text("a red ball\n")
    with pytest.raises(PromptsError, match="at least two"):
        validate_bundle(proved, Options(prompts=single, evaluator=clip_folder))
    with pytest.raises(PromptsError, match="the shipped set has"):
        validate_bundle(proved, Options(prompts=10**6, evaluator=clip_folder))
