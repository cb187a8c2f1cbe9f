"""How a network beside its authors' own is told, and where on a page."""

from __future__ import annotations

import numpy as np
import pytest

from validate.originals.comparison import compared, table, write_rows


def test_the_difference_is_relative_and_shapes_have_to_agree():
    row = compared("net", "out", 7, np.array([3.0, 4.0]), np.array([3.0, 3.0]), 0.3)
    assert row.difference == pytest.approx(1 / 18**0.5) and row.passed
    assert not compared("net", "out", 7, np.zeros(2), np.ones(2), 0.5).passed
    with pytest.raises(ValueError, match=r"out is \(2,\) here and \(3,\) there"):
        compared("net", "out", 7, np.zeros(2), np.zeros(3), 0.5)


def test_a_missed_limit_stands_in_the_table():
    rows = [compared("net", "out", 1200, np.ones(2), np.ones(2), 1e-5), compared("net", "two", 1, [2.0], [1.0], 0.5)]
    assert "| net | out | 1,200 | 0.0e+00 | 1e-05 |" in table(rows) and "1.0e+00 **missed**" in table(rows)


def test_rows_go_between_the_marks_and_replace_those_of_their_network(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n")
    one, two = (compared(name, "out", 1, np.ones(2), np.ones(2), 1e-5) for name in ("one", "two"))
    write_rows(page, "a", [two], ["one", "two"])
    write_rows(page, "a", [one], ["one", "two"])
    text = page.read_text()
    assert text.startswith("before\n<!-- begin a -->\n") and text.endswith("\n<!-- end a -->\nafter\n")
    assert text.index("| one |") < text.index("| two |") and "old" not in text
    with pytest.raises(ValueError, match="lacks the lines"):
        write_rows(page, "b", [one], ["one"])
