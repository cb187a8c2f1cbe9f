"""`t3export validate` from outside: exit codes, stdout, stderr, and what is left on disk."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from exporter.errors import EnvironmentProblem
from exporter.manifest import EnginesPart, read_manifest, write_manifest
from t3export.cli import run
from tests.toy_bundle import write_toy_bundle
from tests.validate.proved_bundle import break_program, fresh, prove, toy_family
from tests.validate.tiny_clip import write_clip

pytestmark = pytest.mark.usefixtures("judge_that_guesses")


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prove(write_toy_bundle(tmp_path_factory.mktemp("proved") / "bundle"))


@pytest.fixture(autouse=True)
def _family(proved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("T3EXPORT_CACHE", str(tmp_path / "cache"))
    with toy_family(proved):
        yield


def test_a_pass_prints_the_table_and_records_the_verdict(
    proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = fresh(proved, tmp_path)
    assert run(["validate", str(folder), "--no-quality"]) == 0
    out, err = capsys.readouterr()
    for rung in ("stages", "steps", "latents", "shape", "renders"):
        assert f"\n{rung}" in out and f"{rung} passed in" in err
    assert "report.json" in err and "quality" not in out
    assert read_manifest(folder).validation.passed


def test_a_stand_in_is_named_in_report_and_verdict(proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = fresh(proved, tmp_path)
    manifest = read_manifest(folder)
    engines = EnginesPart(state="to be built on the device", run=["t3export finish ."])
    target = manifest.target | {"backend": "tensorrt"}
    write_manifest(folder, manifest.model_copy(update={"target": target, "engines": engines}))
    assert run(["validate", str(folder), "--no-quality"]) == 4
    assert "--on onnxruntime" in capsys.readouterr().err
    assert run(["validate", str(folder), "--no-quality", "--on", "onnxruntime"]) == 0
    assert "onnxruntime on this machine ran the bundle's programs, in place of the engines" in capsys.readouterr().err
    verdict = read_manifest(folder).validation
    assert verdict.passed and verdict.stand_in.startswith("onnxruntime on this machine")
    assert run(["inspect", str(folder)]) == 0
    assert "in place of the engines" in capsys.readouterr().out


def test_a_miss_exits_with_5_and_names_rung_stage_and_tensor(
    proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = fresh(proved, tmp_path)
    break_program(folder, "denoiser", "coefficients", 1.01)
    assert run(["validate", str(folder), "--no-quality"]) == 5
    err = " ".join(capsys.readouterr().err.split())
    assert "rungs missed" in err and "denoiser next_sample" in err
    assert not read_manifest(folder).validation.passed


def read_only(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    """The bundle lies on a disk that is mounted to be read."""
    write, replace = tempfile.TemporaryFile, Path.replace

    def refuse(dir: Path) -> IO[bytes]:
        if dir.is_relative_to(bundle):
            raise OSError(errno.EROFS, "Read-only file system", str(dir))
        return write(dir=dir)

    def keep(path: Path, target: Path) -> Path:
        if target.is_relative_to(bundle):
            raise OSError(errno.EROFS, "Read-only file system", str(target))
        return replace(path, target)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(Path, "replace", keep)


def test_a_bundle_that_cannot_be_written_is_told_before_the_first_rung(
    proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fresh(proved, tmp_path)
    read_only(monkeypatch, folder)
    assert run(["validate", str(folder), "--no-quality"]) == EnvironmentProblem.exit_code
    err = " ".join(capsys.readouterr().err.split())
    assert "cannot be written (Read-only file system)" in err and "--output FILE" in err and "passed in" not in err
    report = tmp_path / "report.json"
    assert run(["validate", str(folder), "--no-quality", "--output", str(report)]) == 0
    assert run(["validate", str(folder), "--rungs", "stages"]) == 0
    assert json.loads(report.read_text())["passed"]


def test_a_report_that_has_no_place_at_the_end_goes_elsewhere(
    proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fresh(proved, tmp_path)
    read_only(monkeypatch, folder)
    monkeypatch.setattr("t3export.commands.validate.require_writable", lambda path: None)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(tmp_path / prefix))
    assert run(["validate", str(folder), "--no-quality", "--json"]) == EnvironmentProblem.exit_code
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads((tmp_path / "t3export-/report.json").read_text())
    assert "the report went elsewhere" in " ".join(err.split()) and read_manifest(folder).validation is None


def test_json_is_one_document_and_output_leaves_the_bundle_alone(
    proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = fresh(proved, tmp_path)
    report = tmp_path / "report.json"
    arguments = ["validate", str(folder), "--rungs", "stages,shape", "--json", "--output", str(report)]
    assert run(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(report.read_text())
    assert [rung["name"] for rung in printed["rungs"]] == ["stages", "shape"]
    assert read_manifest(folder).validation is None and not (folder / "reports").exists()


def test_an_output_that_cannot_be_written_is_told_before_anything_runs(
    proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    for output, code, told in (("file/report.json", 6, "cannot be written"), (".", 2, "is a directory")):
        assert run(["validate", str(proved), "--rungs", "stages", "-o", str(tmp_path / output)]) == code
        err = " ".join(capsys.readouterr().err.split())
        assert told in err and "stages passed" not in err


def test_the_table_is_printed_even_where_the_report_can_no_longer_be_written(
    proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise EnvironmentProblem("the disk is full")

    monkeypatch.setattr("validate.ladder.report.write_report", full)
    assert run(["validate", str(proved), "--rungs", "stages", "-o", str(tmp_path / "deep/report.json")]) == 6
    assert "stages" in capsys.readouterr().out


def test_a_miss_in_json_exits_with_5(proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = fresh(proved, tmp_path)
    break_program(folder, "text_encoder", "table", 1.01)
    assert run(["validate", str(folder), "--rungs", "stages", "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["rungs"][0]["worst"]["stage"] == "text_encoder"


def test_quality_with_own_captions_and_judge(proved: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    judge = write_clip(tmp_path / "judge")
    captions = tmp_path / "captions.txt"
    captions.write_text("a red ball\na blue ball\n")
    arguments = ["validate", str(proved), "--rungs", "quality", "--prompts", str(captions)]
    assert run([*arguments, "--evaluator", str(judge), "--workers", "0"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "2 prompts, seeds of each: 1, grid 64³, azimuths 45, 135, 225, 315°, elevation 45°, 96 px" in out
    assert "95 % interval" in out and "McNemar p = 1" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--rungs", "stepz"], 2, "did you mean 'steps'"),
        (["--rungs", ","], 2, "at least one rung"),
        (["--rungs", "stages,quality", "--no-quality"], 2, "--no-quality leaves it out"),
        (["--prompts", "0"], 2, "at least 1"),
        (["--prompts", "absent.txt"], 2, "absent.txt"),
        (["--prompts", "99999"], 2, "fully specified captions"),
        (["--evaluator", "absent"], 3, "evaluator absent: no such folder"),
        (["--seeds", "0"], 2, "--seeds"),
    ],
)
def test_bad_input_is_told_before_anything_runs(
    proved: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(["validate", str(proved), *arguments]) == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(["validate", str(tmp_path)]) == 4
    assert "not a bundle" in capsys.readouterr().err
