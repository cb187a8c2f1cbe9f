"""Gaps of single operators; of a real program in tests/exporter/backends/executorch/test_lower.py."""

from __future__ import annotations

import json

import pytest

from exporter.errors import RecipeError
from exporter.manifest import read_manifest
from validate.bisect.operators import Gap, gaps_table, operator_gaps, write_gaps

GAPS = [Gap("denoiser", "linear, gelu", "XNNPACK", 40.0), Gap("field", "layer_norm", "native_layer_norm", 12.5)]


def test_another_backend_is_told_so(toy_bundle):
    with pytest.raises(RecipeError, match="runs on onnxruntime; gaps of single operators are told of ExecuTorch"):
        operator_gaps(toy_bundle, read_manifest(toy_bundle))


def test_without_records_it_says_how_to_get_them(toy_bundle):
    manifest = read_manifest(toy_bundle)
    manifest = manifest.model_copy(update={"target": manifest.target | {"backend": "executorch"}})
    with pytest.raises(RecipeError, match=r"no record of text_encoder, .*etrecord: true"):
        operator_gaps(toy_bundle, manifest)


def test_the_largest_gap_comes_first_and_all_are_kept(tmp_path):
    table = gaps_table(GAPS)
    assert list(table.columns[0].cells) == ["field", "denoiser"]
    path = write_gaps(GAPS, tmp_path)
    assert [one["snr_db"] for one in json.loads(path.read_text())] == [40.0, 12.5]
