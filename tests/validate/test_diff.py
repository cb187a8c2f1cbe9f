"""What changed between two bundles, and what of it matters."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import yaml

from exporter.errors import BundleError
from exporter.manifest import PERF, list_files, read_manifest, write_manifest
from tests.validate.page.pages import report_of
from validate.diff import diff_bundles
from validate.ladder.report import record_in_bundle
from validate.page.diff_page import write_diff_page


@pytest.fixture
def two(toy_bundle: Path, tmp_path: Path) -> tuple[Path, Path]:
    return shutil.copytree(toy_bundle, tmp_path / "a"), shutil.copytree(toy_bundle, tmp_path / "b")


def change(folder: Path, **changes) -> None:
    manifest = read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={"files": list_files(folder), **changes}))


def test_equal_bundles_differ_in_nothing(two: tuple[Path, Path]) -> None:
    found = diff_bundles(*two)
    assert found.changes == () and not found.differ
    assert "validated" in found.quality_left_out


def test_recipe_policy_file_and_size_are_told_by_name(two: tuple[Path, Path]) -> None:
    a, b = two
    (b / "sampler.json").write_text('{"steps": 4}')
    manifest = read_manifest(b)
    field = manifest.stages["field"].model_copy(update={"layers": {"field/mlp": "int8"}, "size": 10})
    recipe = {
        "name": "other",
        "sampler": {"steps": 4},
        "validation": {"seeds": 2},
        "quantization": {"rules": [{"layers": "*"}]},
    }
    change(b, recipe=recipe, stages=manifest.stages | {"field": field})
    found = {(one.section, one.what): one for one in diff_bundles(a, b).changes}
    assert found["recipe", "sampler.steps"].b == "4" and found["recipe", "quantization.rules.0.layers"].b == "*"
    assert not found["recipe", "name"].matters and not found["recipe", "validation.seeds"].matters
    assert (found["policy", "field/mlp"].a, found["policy", "field/mlp"].b) == ("fp32", "int8")
    assert ("files", "sampler.json") in found and found["size", "field"].b.startswith("0.0 kB (")
    assert found["size", "field"].b.endswith(" % of A)")


def test_toolchain_alone_does_not_matter(two: tuple[Path, Path]) -> None:
    a, b = two
    change(b, toolchain={"onnx": "2"})
    found = diff_bundles(a, b)
    assert [(one.what, one.a, one.b) for one in found.changes] == [("onnx", "1", "2")] and not found.differ


def test_what_was_measured_on_some_machine_does_not_matter(two: tuple[Path, Path]) -> None:
    a, b = two
    (b / PERF).write_text("stages: {}")
    change(b)
    found = diff_bundles(a, b)
    assert [one.what for one in found.changes if one.section == "files"] == [PERF] and not found.differ


def test_quality_is_paired_on_what_both_made(two: tuple[Path, Path], tmp_path: Path) -> None:
    for folder, ranks in zip(two, ((1, 1, 2, 1), (1, 3, 1)), strict=True):
        record_in_bundle(report_of(folder, hits=ranks), folder)
    found = diff_bundles(*two)
    quality = found.quality
    assert quality is not None and quality.objects == 3
    assert (quality.only_a, quality.only_b, quality.p) == (1, 1, 1.0)
    assert quality.a == quality.b == pytest.approx(200 / 3)
    assert (quality.cosine_low, quality.cosine_high, quality.smallest_loss) == (-math.inf, math.inf, None)
    assert quality.low < -60 and quality.high > 60
    write_diff_page(found, tmp_path / "diff.html")
    html = (tmp_path / "diff.html").read_text()
    assert "3 pairs cannot show any loss" in html and "(too few prompts for an interval)" in html


def test_reports_that_cannot_be_paired_say_why(two: tuple[Path, Path]) -> None:
    a, b = two
    record_in_bundle(report_of(a), a)
    report = report_of(b)
    report.rungs[-1].details["evaluator"] = {"name": "another", "digest": "e"}
    record_in_bundle(report, b)
    assert diff_bundles(a, b).quality_left_out == "the judges or their views differ"
    change(b, toolchain={"onnx": "2"})
    assert "as they are now" in diff_bundles(a, b).quality_left_out


def test_speed_is_that_of_two_timed_bundles(two: tuple[Path, Path]) -> None:
    side = {"name": "a", "kind": "bundle", "p50": {"end_to_end": 2.0, "step": None}}
    other = {"name": "b", "kind": "bundle", "p50": {"end_to_end": 1.0, "step": None}}
    found = diff_bundles(*two, {"sides": [side, other]})
    assert [(one.what, one.a, one.b) for one in found.changes] == [("end to end", "2000 ms", "1000 ms (x2.00 as fast)")]
    assert not found.differ and found.speed_told == "timed in turns, medians"
    with pytest.raises(BundleError, match="--compare"):
        diff_bundles(*two, {"sides": [side]})


def measured(folder: Path, where: str, **least: float) -> None:
    stages = {stage: {"milliseconds": 9.0, "least": time} for stage, time in least.items()}
    (folder / PERF).write_text(yaml.safe_dump({"measured": [{"where": {"processor": where}, "stages": stages}]}))
    change(folder)


def test_without_a_bench_the_speed_is_what_the_builds_saw_on_one_machine(two: tuple[Path, Path]) -> None:
    a, b = two
    assert "not measured; `t3export bench A B" in diff_bundles(a, b).speed_told
    (b / "denoiser.onnx").write_bytes((b / "denoiser.onnx").read_bytes() + b"\0")
    measured(a, "P", denoiser=40.0, field=2.0)
    measured(b, "P", denoiser=20.0, field=30.0)
    found = diff_bundles(a, b)
    speeds = [(one.what, one.a, one.b, one.matters) for one in found.changes if one.section == "speed"]
    assert speeds == [("denoiser", "40 ms", "20 ms (x2.00 as fast)", False)]
    assert "not in turns" in found.speed_told
    measured(b, "Q", denoiser=20.0)
    found = diff_bundles(a, b)
    assert "different machines" in found.speed_told and not [one for one in found.changes if one.section == "speed"]


def test_what_is_known_said_or_recorded_of_a_bundle_does_not_matter(two: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = two
    for folder, word in ((a, "one"), (b, "other")):
        manifest = read_manifest(folder)
        (folder / "goldens").mkdir()
        (folder / "goldens/field.npz").write_text(word)
        needs = [need | {"used_for": word} for need in manifest.target["needs"]]
        target = manifest.target | {"description": word, "needs": needs, "refused": {"palette": word}, "stand_in": word}
        rules = [{"layers": "*", "precision": "int8", "why": word}]
        recipe = manifest.recipe | {
            "description": word,
            "quantization": {"rules": rules},
            "goldens": {"prompts": [word]},
        }
        change(folder, target=target, recipe=recipe, goldens={"field": ["goldens/field.npz"]})
    found = diff_bundles(a, b)
    assert len(found.changes) > 6 and not found.differ
    write_diff_page(found, tmp_path / "diff.html")
    assert "Nothing differs that can change what they make." in (tmp_path / "diff.html").read_text()
    change(b, target=target | {"session": target["session"] | {"threads": 3}})
    assert [one.what for one in diff_bundles(a, b).changes if one.matters] == ["session.threads"]


def test_a_damaged_bundle_is_no_difference(two: tuple[Path, Path]) -> None:
    (two[1] / "samplers/denoiser.json").write_text("[]")
    with pytest.raises(BundleError, match=r"samplers/denoiser\.json"):
        diff_bundles(*two)


def test_the_page_escapes_and_loads_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    change(two[1], recipe={"name": "toy", "note": "<script>alert(1)</script>"})
    write_diff_page(diff_bundles(*two), tmp_path / "diff.html")
    html = (tmp_path / "diff.html").read_text()
    assert "≠ They differ" in html and "&lt;script&gt;alert" in html and "<script" not in html
