"""The report for programs and the table for people."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from exporter.errors import EnvironmentProblem, ValidationFailed
from validate.ladder.report import Report, report_table, write_report
from validate.ladder.result import Figure, RungResult

PASSED = RungResult("stages", "each stage", (Figure("field", "color", "SNR", math.inf, "dB", 90.0, where="0.npz"),))
MISS = Figure("denoiser", "prediction", "SNR", 42.123456, "dB", 90.0, where="evaluation 3")
FAILED = RungResult("denoiser", "each timestep", (MISS,), "failed", seconds=1.25)
REFUSED = RungResult("quality", "R-Precision", status="refused", reason="the weights are random [1/2]")


def report(*rungs: RungResult) -> Report:
    return Report("artifacts/x/cpu", "b" * 64, "x", "r" * 64, {"source": "random", "trained": False}, "cpu", {}, rungs)


def test_a_miss_names_the_rung_the_stage_and_the_tensor() -> None:
    with pytest.raises(ValidationFailed, match="1 of 3 rungs missed") as failure:
        report(PASSED, FAILED, REFUSED).require_passed()
    assert "denoiser (each timestep): denoiser prediction, evaluation 3: SNR 42.12 dB (at least 90 dB)" in str(
        failure.value
    )
    assert failure.value.exit_code == 5


def test_a_refused_rung_neither_passes_nor_fails() -> None:
    report(PASSED, REFUSED).require_passed()
    verdict = report(PASSED, REFUSED).verdict()
    assert verdict.passed and [rung.name for rung in verdict.rungs] == ["stages"]
    with pytest.raises(ValidationFailed, match="nothing is proved"):
        report(REFUSED).require_passed()


def test_the_file_is_strict_json_with_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    write_report(report(PASSED, FAILED, REFUSED), path)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    data = json.loads(path.read_text(), parse_constant=refuse)
    assert data["passed"] is False and [rung["status"] for rung in data["rungs"]] == ["passed", "failed", "refused"]
    assert data["rungs"][0]["figures"][0]["value"] == "inf"
    assert data["rungs"][1]["worst"]["where"] == "evaluation 3"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        write_report(report(PASSED), tmp_path / "file" / "report.json")


def test_the_table_shows_verdict_figure_tolerance_and_reason() -> None:
    console = Console(width=160, record=True, file=None)
    with console.capture() as capture:
        console.print(report_table(report(PASSED, FAILED, REFUSED)))
    text = capture.get()
    for shown in ("SNR inf dB", "at least 90 dB", "evaluation 3", "1.2 s", "refused", "the weights are random [1/2]"):
        assert shown in text
