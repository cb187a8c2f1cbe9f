from __future__ import annotations

import json

from click.testing import CliRunner

from validate.bench.surface_main import SOLIDS, command


def test_every_solid_has_the_same_vertices_on_both_sides():
    done = CliRunner().invoke(command, ["--grids", "20", "--seconds", "0", "--json"], catch_exceptions=False)
    rows = json.loads(done.output)["rows"]
    assert [row["solid"] for row in rows] == list(SOLIDS)
    assert all(row["vertices"] == row["theirs"] > 100 and row["farthest"] < 1e-4 for row in rows)
    assert all(row["low"] <= row["ratio"] <= row["high"] for row in rows)


def test_as_a_table():
    done = CliRunner().invoke(command, ["--grids", "12", "--seconds", "0"], catch_exceptions=False)
    assert "times as fast" in done.output and "gyroid" in done.output
