"""`t3export report`, `diff` and `bisect` from outside: exit codes, stdout, stderr, and what is left on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from exporter.manifest import read_manifest, write_manifest
from t3export.cli import run
from tests.validate.page.pages import report_of
from validate.ladder.report import record_in_bundle


@pytest.fixture
def validated(own_bundle: Path) -> Path:
    record_in_bundle(report_of(own_bundle), own_bundle)
    return own_bundle


def test_report_writes_the_page_again(validated: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(["report", str(validated)]) == 0
    assert (validated / "reports" / "report.html").read_text().startswith("<!doctype html>")
    assert run(["report", str(validated), "-o", str(tmp_path / "proof.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == (tmp_path / "proof.html").stat().st_size


def test_report_refuses_what_it_has_no_figures_of(own_bundle: Path, tmp_path: Path, capsys) -> None:
    assert run(["report", str(own_bundle)]) == 4
    assert "t3export validate" in capsys.readouterr().err
    (tmp_path / "bench.json").write_text("[]")
    assert run(["report", str(own_bundle), "--bench", str(tmp_path / "bench.json")]) == 2
    assert "no list of sides" in capsys.readouterr().err
    for command in (["report", str(own_bundle)], ["diff", str(own_bundle), str(own_bundle)]):
        assert run([*command, "--bench", str(tmp_path / "absent.json")]) == 2
        assert "absent.json: cannot be read" in capsys.readouterr().err


def test_diff_has_the_exit_codes_of_diff(toy_bundle: Path, own_bundle: Path, tmp_path: Path, capsys) -> None:
    assert run(["diff", str(toy_bundle), str(own_bundle)]) == 0
    assert "Nothing differs" in capsys.readouterr().out
    manifest = read_manifest(own_bundle)
    recipe = {"name": "toy", "sampler": {f"field {i}": i for i in range(20)}}
    write_manifest(own_bundle, manifest.model_copy(update={"recipe": recipe}))
    page = tmp_path / "diff.html"
    assert run(["diff", str(toy_bundle), str(own_bundle), "--html", str(page)]) == 1
    out = capsys.readouterr().out
    assert "sampler.field 3" in out and "and 8 more: --full" in out and page.exists()
    assert run(["diff", str(toy_bundle), str(own_bundle), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["differ"] is True
    assert run(["diff", str(toy_bundle), str(tmp_path)]) == 4


def test_bisect_takes_onnx_only(own_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    manifest = read_manifest(own_bundle)
    field = manifest.stages["field"].model_copy(update={"program": "field.pte"})
    shutil.move(own_bundle / "field.onnx", own_bundle / "field.pte")
    files = {name.replace("field.onnx", "field.pte"): part for name, part in manifest.files.items()}
    stages = manifest.stages | {"field": field}
    write_manifest(own_bundle, manifest.model_copy(update={"stages": stages, "files": files}))
    assert run(["bisect", str(own_bundle)]) == 4
    assert "field.pte is no ONNX program" in " ".join(capsys.readouterr().err.split())
