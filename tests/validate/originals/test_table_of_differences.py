"""How a network beside its authors' own is told, and where on a page."""

from __future__ import annotations

import numpy as np
import pytest

from validate.originals.comparison import compared, table, write_between


def test_the_difference_is_relative_and_shapes_have_to_agree():
    row = compared("net", "out", 7, np.array([3.0, 4.0]), np.array([3.0, 3.0]), 0.3)
    assert row.difference == pytest.approx(1 / 18**0.5) and row.passed
    assert not compared("net", "out", 7, np.zeros(2), np.ones(2), 0.5).passed
    with pytest.raises(ValueError, match=r"out is \(2,\) here and \(3,\) there"):
        compared("net", "out", 7, np.zeros(2), np.zeros(3), 0.5)


def test_a_missed_limit_stands_in_the_table():
    rows = [compared("net", "out", 1200, np.ones(2), np.ones(2), 1e-5), compared("net", "two", 1, [2.0], [1.0], 0.5)]
    assert "| net | out | 1,200 | 0.0e+00 | 1e-05 |" in table(rows) and "1.0e+00 **missed**" in table(rows)


def test_it_goes_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n")
    write_between(page, "a", "new")
    assert page.read_text() == "before\n<!-- begin a -->\nnew\n<!-- end a -->\nafter\n"
    with pytest.raises(ValueError, match="lacks the lines"):
        write_between(page, "b", "new")
