"""`t3export bench` from outside; what it measures is measured elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from t3export.breakdown import colors_of, draw_breakdown
from t3export.cli import run
from t3export.commands import bench
from tests.validate.bench.test_show_timings import BUNDLE, MACHINE, SETTINGS, TORCH
from validate.bench import measure
from validate.bench.timings import BenchResult

RESULT = BenchResult(MACHINE, SETTINGS, [TORCH, BUNDLE])


@pytest.fixture
def asked(monkeypatch):
    """Measuring replaced by a ready result; gives what was asked."""
    seen = {}

    def fake(folders, settings, progress):
        seen.update(folders=folders, settings=settings)
        return RESULT

    monkeypatch.setattr(measure, "measure", fake)
    return seen


def test_defaults(asked):
    assert run(["bench", "some/bundle"]) == 0
    settings = asked["settings"]
    assert settings.baselines == bench.BASELINES and settings.original is None
    assert settings.grid is None and settings.picture is None and settings.fresh and settings.limit_seconds == 60


def test_options_arrive(asked):
    more = ["--baseline", "torch, naive", "--original", "dpmpp_2m:20", "--rounds", "9", "--threads", "3", "--no-fresh"]
    assert run(["bench", "a", "b", *more, "--grid", "64", "--size", "0", "--limit", "5", "--on", "onnxruntime"]) == 0
    settings = asked["settings"]
    assert settings.baselines == ("torch", "naive") and settings.original == ("dpmpp_2m", 20)
    assert (settings.rounds, settings.threads, settings.grid, settings.picture) == (9, 3, 64, 0)
    assert not settings.fresh and settings.limit_seconds == 5 and settings.stand_in == "onnxruntime"
    assert list(map(str, asked["folders"])) == ["a", "b"]


def test_bundles_are_compared_without_baselines(asked):
    assert run(["bench", "--compare", "a", "b"]) == 0 and asked["settings"].baselines == ()
    assert run(["bench", "--compare", "a", "b", "--baseline", "torch"]) == 0
    assert asked["settings"].baselines == ("torch",)
    assert run(["bench", "a", "--baseline", "none"]) == 0 and asked["settings"].baselines == ()


def test_without_pytorch_there_are_no_baselines_and_it_is_said(asked, monkeypatch, capsys):
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    assert run(["bench", "a"]) == 0 and asked["settings"].baselines == ()
    assert "t3export[build]" in capsys.readouterr().err
    assert run(["bench", "a", "--baseline", "torch"]) == 6


def test_a_real_bundle_is_measured(toy_bundle, capsys):
    small = ["--baseline", "none", "--rounds", "1", "--no-fresh", "--prompt", "a red ball", "--threads", "1"]
    assert run(["bench", str(toy_bundle), *small, "--json"]) == 0
    (side,) = json.loads(capsys.readouterr().out)["sides"]
    assert side["evaluations"] == 3 and side["p50"]["end_to_end"] > 0
    assert run(["bench", str(toy_bundle), *small, "--sweep", "grid", "--points", "8,16", "--markdown"]) == 0
    assert "| 16³ |" in capsys.readouterr().out


def test_json_and_markdown_are_all_of_stdout(asked, capsys):
    assert run(["bench", "a", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sides"][1]["times_as_fast_as"]["torch"]["end_to_end"]["ratio"] == 20.0 and told["machine"]["load"]
    assert run(["bench", "a", "--markdown"]) == 0 and capsys.readouterr().out.startswith("|  | step |")


def test_the_chart_has_a_bar_a_side_with_the_shares_of_its_stages(asked, tmp_path):
    assert run(["bench", "a", "--chart", str(tmp_path / "chart.png")]) == 0
    assert Image.open(tmp_path / "chart.png").size == draw_breakdown(RESULT).size
    result = BenchResult(MACHINE, SETTINGS, [BUNDLE])
    colors, pixels = colors_of(result), np.asarray(draw_breakdown(result))
    assert list(colors) == ["inputs", "denoiser", "projector", "field", "mesh"] and len(set(colors.values())) == 5
    bar = pixels[pixels.shape[0] // 4]
    denoiser, field = (int((bar == colors[part]).all(axis=1).sum()) for part in ("denoiser", "field"))
    assert denoiser / field == pytest.approx(4.0 / 1.5, rel=0.25)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "Missing argument"),
        (["a", "a"], 2, "given twice"),
        (["a", "--baseline", "torhc"], 2, "did you mean 'torch'"),
        (["a", "--original", "heun"], 2, "heun:64"),
        (["a", "--original", "heun:0"], 2, "heun:64"),
        (["a", "--roofline", "--sweep", "grid"], 2, "one at a time"),
        (["a", "b", "--roofline"], 2, "one bundle"),
        (["a", "--sweep", "grid", "--baseline", "torch"], 2, "--baseline"),
        (["a", "--points", "1,2"], 2, "--sweep"),
        (["a", "--sweep", "grid", "--chart", "c.png"], 2, "--chart"),
        (["a", "--chart", "c.svg"], 2, ".png"),
        (["a", "--sweep", "steps"], 4, "not a bundle"),
        (["a", "--baseline", "none"], 4, "not a bundle"),
    ],
)
def test_wrong_input_is_told(arguments, code, told, capsys):
    assert run(["bench", *arguments]) == code
    assert told in " ".join(capsys.readouterr().err.split())
