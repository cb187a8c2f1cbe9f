"""`t3export table` from outside; what it measures is measured elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from t3export.cli import run
from tests.validate.table import results
from validate.table import make

ROOT = Path(__file__).parents[2]
FP32 = str(ROOT / "recipes/shape_e_fp32.yaml")


@pytest.fixture
def asked(monkeypatch):
    """The table replaced by a ready one; gives what it was asked."""
    seen = {}

    def fake(path, recipe, target, settings, folder, *, cache, progress, on_row):
        seen.update(path=path, recipe=recipe, target=target, settings=settings, folder=folder)
        rows = results.table().rows
        for done, row in enumerate(rows, start=1):
            on_row(row, done, len(rows))
        return results.table()

    monkeypatch.setattr(make, "make_table", fake)
    return seen


def test_options_arrive(asked, tmp_path):
    more = ["--rows", "int8_linear, tuned_int8", "--peers", "--prompts", "300", "--seeds", "3", "--threads", "2"]
    assert run(["table", FP32, "--weights", "stress:shap-e-mini:16", *more, "-o", str(tmp_path)]) == 0
    assert asked["recipe"].model.weights == "stress:shap-e-mini:16" and asked["folder"] == tmp_path
    settings = asked["settings"]
    assert settings.rows == ("int8_linear", "tuned_int8") and settings.peers
    assert (settings.prompts, settings.seeds, settings.threads) == (300, 3, 2)


def test_defaults(asked):
    assert run(["table", FP32]) == 0
    settings = asked["settings"]
    assert (settings.rows, settings.peers, settings.prompts, settings.seeds) == ((), False, None, 2)
    assert asked["recipe"].validation.prompts == 160 and asked["path"] == Path(FP32)
    assert asked["folder"] == Path("artifacts/shape_e_fp32/table") and asked["target"].name == "cpu"


def test_a_file_of_prompts(asked, tmp_path):
    (tmp_path / "mine.txt").write_text("a red ball\na blue ball\n")
    assert run(["table", FP32, "--prompts", str(tmp_path / "mine.txt")]) == 0
    assert asked["settings"].prompts == tmp_path / "mine.txt"


def test_the_table_is_printed_and_each_row_told_as_it_is_done(asked, capsys):
    assert run(["table", FP32]) == 0
    out, err = capsys.readouterr()
    assert "71.9 p 0.0012" in out and "26%" in out
    assert "PyTorch measured (1 of 5, about 0 s left)" in err and "(5 of 5)" in err
    assert "PyTorch measured" in err and "smallest not measured: no such file:" in err


def test_json_is_one_document_with_the_machine_and_without_infinities(asked, capsys):
    assert run(["table", FP32, "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["rows"][2]["fidelity"]["chamfer"] is None and told["rows"][2]["step"]["seconds"] == 0.01
    assert "cores" in told["machine"]["processor"]


def test_markdown_is_only_the_table(asked, capsys):
    assert run(["table", FP32, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("|  | R-Precision %")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--rows", "int8_linaer"], 2, "did you mean 'int8_linear'"),
        (["--rows", "nowhere.yaml"], 2, "nowhere.yaml: no such file"),
        (["--prompts", "0"], 2, "at least 1 prompt"),
        (["--prompts", "absent.txt"], 2, "absent.txt"),
        (["--prompts", "99999"], 2, "fully specified captions"),
        (["--evaluator", "absent"], 3, "evaluator absent: no such folder"),
        (["--seeds", "0"], 2, "--seeds"),
        (["--target", "orin"], 2, "runs on its own device"),
        (["--weights", "stress:shap-e-mini:0"], 3, "stress:shap-e-mini:64"),
    ],
)
def test_wrong_input_is_told_before_anything_is_built(arguments, code, told, tmp_path, capsys):
    assert run(["table", FP32, "-o", str(tmp_path / "out"), *arguments]) == code
    assert told in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("out/*"))
