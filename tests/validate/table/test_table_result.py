"""Rows that are kept and read again."""

from __future__ import annotations

import json

import pytest

from tests.validate.table import results
from validate.table.table_result import load, save


@pytest.mark.parametrize("row", [results.ORIGINAL, results.BASELINE, results.INT8, results.FAILED, results.PEER])
def test_a_row_read_again_is_the_row(row, tmp_path):
    save(row, tmp_path / "row.json")
    assert load(tmp_path / "row.json") == row


def test_bytes_are_compared_with_the_baselines():
    table = results.table()
    assert table.bytes_ratio(results.INT8) == 0.26 and table.bytes_ratio(results.BASELINE) == 1.0
    assert table.bytes_ratio(results.ORIGINAL) is None
    assert results.table(rows=[results.INT8]).bytes_ratio(results.INT8) is None


def test_the_table_is_plain_data():
    data = json.loads(json.dumps(results.table().to_dict()))
    assert data["rows"][2]["rate"]["p_value"] == 0.00123 and data["synthetic"] is False
