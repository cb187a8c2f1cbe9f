from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.targets.target import Target, list_targets, target_names
from t3export.cli import run

ROOT = Path(__file__).parents[2]
MARKDOWN = ["targets", "--check", "--markdown"]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_check_tells_what_is_here_what_is_taken_and_why_not_the_rest(capsys):
    assert run(["targets", "--check"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert all(target.name in told for target in list_targets())
    assert "shape_e_int8" in told and "ready" in told and "builds" in told and "lacks" in told
    assert "refused by" in told and "int8_dynamic" in told and "checked here" in told


def test_a_planned_target_is_never_ready(capsys):
    assert run(["targets", "android-vulkan", "--check"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "android-vulkan planned planned" in told and "ready" not in told


def test_the_check_as_data(capsys):
    assert run(["targets", "cuda", "--check", "--recipe", "recipes/shape_e_int8.yaml", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["precisions"]["fp32"] is None and "MatMulInteger" in told["precisions"]["int8"]
    assert told["recipes"]["shape_e_int8"] == {"state": "refused", "reasons": {"int8": told["precisions"]["int8"]}}
    assert next(need for need in told["needs"] if need["name"] == "onnx")["found"]
    assert next(need for need in told["needs"] if need["kind"] == "device")["found"] is None


def test_the_markdown_has_a_line_for_each_target_and_each_reason(capsys):
    assert run(MARKDOWN) == 0
    told = capsys.readouterr().out
    table, _, reasons = told.partition("\n\n")
    names = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    assert table.splitlines()[0].endswith(f"| {' | '.join(names)} |")
    assert len(table.splitlines()) == 2 + len(target_names())
    assert "no int8:" in reasons and "`cuda`" in reasons


def test_every_field_of_a_target_is_explained(capsys):
    assert run(["targets", "explain"]) == 0
    told = capsys.readouterr().out
    assert all(f"{name}  " in told for name in Target.model_fields)
    assert "tensorrt.workspace_mb  Scratch memory of one engine. Unit: MB. Default: 4096." in told
    assert run(["targets", "explain", "session.bind", "--json"]) == 0
    assert "Device on which" in json.loads(capsys.readouterr().out)["description"]
    assert run(["targets", "explain", "sesion"]) == 2
    assert "did you mean 'session'" in capsys.readouterr().err


def test_listing_is_what_happens_where_nothing_else_is_named(capsys):
    assert run(["targets", "list", "cpu", "--json"]) == 0
    listed = capsys.readouterr().out
    assert run(["targets", "cpu", "--json"]) == 0
    assert capsys.readouterr().out == listed


@pytest.mark.parametrize("arguments", [["--markdown"], ["--recipe", "recipes/shape_e_int8.yaml"]])
def test_what_goes_with_the_check_alone(arguments, capsys):
    assert run(["targets", *arguments]) == 2
    assert "go with --check" in capsys.readouterr().err


def test_a_wrong_recipe_is_told(capsys):
    assert run(["targets", "--check", "--recipe", "recipes/shape_e_int9.yaml"]) == 2
    assert "did you mean 'shape_e_int8.yaml'" in capsys.readouterr().err


def test_the_page_of_recipes_and_targets_is_what_the_command_prints(capsys):
    page = (ROOT / "docs/matrix.md").read_text(encoding="utf-8")
    assert "t3export " + " ".join(MARKDOWN) in page
    assert run(MARKDOWN) == 0
    assert page.endswith(capsys.readouterr().out)


def test_what_was_measured_of_what_is_refused_and_why_a_target_waits_are_told(capsys):
    assert run(["targets", "android", "--check"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "measured of" in told and "20.0 dB" in told
    assert run(["targets", "ios-coreml", "--check", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert "macOS" in found["why_planned"] and found["measured"] == {}
