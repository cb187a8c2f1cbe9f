"""What changed between two bundles, and what of it matters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

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
    assert ("files", "sampler.json") in found and found["size", "field"].b.startswith("0.0 kB (−")


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


def test_quality_is_paired_on_what_both_made(two: tuple[Path, Path]) -> None:
    for folder, ranks in zip(two, ((1, 1, 2, 1), (1, 3, 1)), strict=True):
        record_in_bundle(report_of(folder, hits=ranks), folder)
    found = diff_bundles(*two)
    quality = found.quality
    assert quality is not None and quality.objects == 3
    assert (quality.only_a, quality.only_b, quality.p) == (1, 1, 1.0)
    assert quality.a == quality.b == pytest.approx(200 / 3)
    assert quality.cosine_low <= quality.cosine_difference <= quality.cosine_high


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
    assert [(one.what, one.a, one.b) for one in found.changes] == [("end to end", "2000 ms", "1000 ms (A / B 2.00)")]
    assert not found.differ
    with pytest.raises(BundleError, match="--compare"):
        diff_bundles(*two, {"sides": [side]})


def test_a_damaged_bundle_is_no_difference(two: tuple[Path, Path]) -> None:
    (two[1] / "samplers/denoiser.json").write_text("[]")
    with pytest.raises(BundleError, match=r"samplers/denoiser\.json"):
        diff_bundles(*two)


def test_the_page_escapes_and_loads_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    change(two[1], recipe={"name": "toy", "note": "<script>alert(1)</script>"})
    write_diff_page(diff_bundles(*two), tmp_path / "diff.html")
    html = (tmp_path / "diff.html").read_text()
    assert "≠ They differ" in html and "&lt;script&gt;alert" in html and "<script" not in html
