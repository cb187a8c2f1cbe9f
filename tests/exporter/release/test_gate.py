from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from exporter.errors import BundleError
from exporter.manifest import list_files, read_manifest, record_verdict, write_manifest
from exporter.release.gate import require_releasable
from exporter.release.release_errors import NotReleasable
from tests.releasable import QUALITY, record
from validate.ladder.result import Figure, RungResult

STAGES = RungResult("stages", "each stage", (Figure("field", "color", "SNR", 99.0, "dB", 90.0),))
MISSED = RungResult("stages", "each stage", (Figure("field", "color", "SNR", 9.0, "dB", 90.0),), "failed")


@pytest.fixture
def bundle(releasable, tmp_path):
    return shutil.copytree(releasable, tmp_path / "cpu")


def change(folder, **fields):
    manifest = read_manifest(folder).model_copy(update=fields)
    write_manifest(folder, manifest.model_copy(update={"files": list_files(folder)}))


def weights(folder, **fields):
    change(folder, weights=read_manifest(folder).weights.model_copy(update=fields))
    record(folder, QUALITY)


def refused(folder):
    with pytest.raises(NotReleasable) as refusal:
        require_releasable([folder])
    assert str(folder) in str(refusal.value)
    return str(refusal.value)


def test_a_validated_bundle_passes_with_its_report(bundle):
    (proved,) = require_releasable([bundle])
    assert proved.name == "toy/cpu" and proved.quality["status"] == "passed"


def test_synthetic_weights_are_refused(bundle):
    weights(bundle, trained=False, source="random:shap-e-mini")
    assert "random:shap-e-mini" in refused(bundle) and "trained --weights" in refused(bundle)
    weights(bundle, trained=True, source="stress:shap-e-mini:64")
    assert "synthetic" in refused(bundle)


def test_what_was_not_validated_is_refused_with_what_to_run(bundle):
    record_verdict(bundle, None)
    assert f"not validated; run `t3export validate {bundle}`" in refused(bundle)


def test_what_was_changed_since_is_refused(bundle):
    change(bundle, toolchain={"onnx": "2"})
    assert "validated before it was last changed" in refused(bundle)


def test_what_failed_is_refused_with_the_rung_that_did(bundle):
    record(bundle, MISSED, QUALITY)
    assert "SNR 9 dB (at least 90 dB)" in refused(bundle)


def test_quality_has_to_be_measured(bundle):
    record(bundle, STAGES)
    assert "without --no-quality" in refused(bundle)


def test_quality_has_to_be_judged_on_as_many_objects_as_the_recipe_asks_for(bundle):
    record(bundle, replace(QUALITY, details=QUALITY.details | {"prompts": 4}))
    told = refused(bundle)
    assert "4 prompts x 1 seeds" in told and "8 x 1" in told and f"run `t3export validate {bundle}`" in told
    change(bundle, recipe={"name": "toy", "validation": {"prompts": 2, "seeds": 2}})
    record(bundle, replace(QUALITY, details=QUALITY.details | {"prompts": 4}))
    require_releasable([bundle])


def test_the_report_that_is_read_is_the_one_that_was_verified(bundle):
    verdict = read_manifest(bundle).validation
    (bundle / verdict.report).rename(bundle / "reports/other.json")
    (bundle / verdict.report).write_text("{}")
    record_verdict(bundle, verdict.model_copy(update={"report": "reports/other.json"}))
    (proved,) = require_releasable([bundle])
    assert proved.quality["status"] == "passed"


def test_an_edited_report_is_refused(bundle):
    report = bundle / "reports/report.json"
    report.write_text(report.read_text().replace("87.5", "99.9"))
    assert "not the one that its verdict was taken from" in refused(bundle)
    report.unlink()
    assert "is missing" in refused(bundle)


def test_a_damaged_bundle_is_told_as_such(bundle):
    (bundle / "field.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"field\.onnx"):
        require_releasable([bundle])


def test_two_bundles_of_one_name(bundle, releasable):
    with pytest.raises(NotReleasable, match="called the same"):
        require_releasable([bundle, releasable])
