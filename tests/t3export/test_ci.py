"""`t3export ci` from outside: it holds on a no-op, and every kind of loss is caught."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from exporter.manifest import list_files, read_manifest, write_manifest
from t3export.cli import run
from t3export.options import checked_recipe
from tests.toy_bundle import write_toy_bundle
from tests.validate.proved_bundle import RECIPE, TOLERANCES, break_program, prove, toy_family
from tests.validate.tiny_clip import write_clip
from validate.ci import measure_pair as measure
from validate.ci.measurement import MeasuredSpeed
from validate.ladder.rungs import quality


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prove(write_toy_bundle(tmp_path_factory.mktemp("pristine") / "bundle"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def measured(pristine: Path, judge: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the recipe, the toy's bundle among the artifacts, and a baseline of it."""
    place = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patched:
        arrange(patched, place)
        Path("toy.yaml").write_text(yaml.safe_dump(RECIPE | {"mesh": {"grid": 16}}))
        Path("prompts.txt").write_text("a red ball\na blue ball\na red box\n")
        with toy_family(pristine):
            folder = shutil.copytree(pristine, Path("artifacts/toy/cpu"))
            checked = checked_recipe(Path("toy.yaml"), (), None)
            change(folder, recipe=checked.data(), recipe_digest=checked.digest)
            assert ci(judge, "--update-baseline", "the first one") == 0
    return place


@pytest.fixture
def place(pristine: Path, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of that folder to work in; its bundle."""
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    arrange(monkeypatch, tmp_path)
    with toy_family(pristine):
        yield Path("artifacts/toy/cpu")


def arrange(patched: pytest.MonkeyPatch, place: Path) -> None:
    patched.setenv("T3EXPORT_CACHE", str(place / "cache"))
    patched.chdir(place)
    # The judge is a random CLIP.
    patched.setattr(quality, "GUESSED", 1.1)
    patched.setattr(measure, "time_step", lambda pair, progress: MeasuredSpeed(ratio=2, low=2, high=2, processor="p"))


def change(folder: Path, **changes: Any) -> None:
    manifest = read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={**changes, "files": list_files(folder)}))


def ci(judge: Path, *more: str) -> int:
    own = ["--prompts", "prompts.txt", "--evaluator", str(judge)]
    return run(["ci", "toy.yaml", "--reuse", "--baseline", "base.json", *own, *more])


def found(capsys: pytest.CaptureFixture) -> dict[str, str]:
    return {one["check"]: one["status"] for one in json.loads(capsys.readouterr().out)["findings"]}


def test_it_holds_on_a_no_op_and_writes_what_machines_read(place, judge, capsys, monkeypatch):
    entry = json.loads(Path("base.json").read_text())["entries"]["toy/cpu"]
    assert entry["reason"] == "the first one" and len(entry["measurement"]["quality"]["hits"]) == 3
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert ci(judge, "--junit", "parity.xml", "--summary", "summary.md") == 0
    suite = ElementTree.parse("parity.xml").getroot()[0]
    assert (suite.get("name"), suite.get("failures"), suite.get("errors")) == ("toy/cpu", "0", "0")
    assert "0 ❌ regressed" in Path("summary.md").read_text()
    assert "::error" not in capsys.readouterr().out


def wrong_scheduler_table(folder: Path) -> None:
    break_program(folder, "denoiser", "coefficients", 1.05)


def swapped_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    words = tokenizer["model"]["vocab"]
    words["red"], words["blue"] = words["blue"], words["red"]
    path.write_text(json.dumps(tokenizer))
    change(folder)


def flipped_weight(folder: Path) -> None:
    path = folder / "projector.onnx"
    path.write_bytes(path.read_bytes()[:-9] + bytes([path.read_bytes()[-9] ^ 1]) + path.read_bytes()[-8:])


def larger_programs(folder: Path) -> None:
    stages = read_manifest(folder).stages
    grown = stages["field"].model_copy(update={"size": stages["field"].size * 2})
    change(folder, stages=stages | {"field": grown})


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (wrong_scheduler_table, "ladder: steps"),
        (swapped_tokenizer, "ladder: latents"),
        (flipped_weight, "bundle"),
        (larger_programs, "size"),
    ],
)
def test_damage_is_caught(place, judge, capsys, damage: Callable[[Path], None], check):
    damage(place)
    assert ci(judge, "--json") == 1
    assert found(capsys)[check] == "regressed"


def test_a_loss_of_quality_alone_is_caught(place, judge, capsys):
    baseline = json.loads(Path("base.json").read_text())
    quality = baseline["entries"]["toy/cpu"]["measurement"]["quality"]
    assert "0" in quality["hits"], "the judge has random weights and misses some"
    quality["hits"] = "1" * len(quality["hits"])
    Path("base.json").write_text(json.dumps(baseline))
    assert ci(judge, "--json") == 1
    assert found(capsys)["quality"] == "regressed"


def test_a_slower_graph_is_caught(place, judge, capsys, monkeypatch):
    slower = MeasuredSpeed(ratio=1.6, low=1.6, high=1.6, processor="p")
    monkeypatch.setattr(measure, "time_step", lambda pair, progress: slower)
    assert ci(judge, "--json") == 1
    assert found(capsys)["speed"] == "regressed"


def test_without_a_baseline_it_could_not_run(place, judge, capsys):
    Path("base.json").unlink()
    assert ci(judge, "--baseline", "artifacts/baseline.json", "--json") == 2
    assert found(capsys)["baseline"] == "not run"


def test_a_baseline_that_is_named_has_to_be_there(place, judge, capsys):
    Path("base.json").unlink()
    assert ci(judge) == 2
    assert "base.json: no such file" in capsys.readouterr().err


def test_what_a_target_refuses_holds_until_it_has_a_baseline(place, judge, capsys):
    rule = '{"layers": "denoiser/*", "precision": "palette", "bits": 4}'
    refused = ["--targets", "orin", "--set", f"quantization.rules=[{rule}]"]
    refused += ["--set", f"validation.tolerances.palette={json.dumps(TOLERANCES)}"]
    refused += ["--set", f"validation.tolerances.fp16={json.dumps(TOLERANCES)}"]
    assert ci(judge, "--json", *refused) == 0
    assert found(capsys) == {"refused by the target": "held"}
    baseline = json.loads(Path("base.json").read_text())
    baseline["entries"]["toy/orin"] = baseline["entries"]["toy/cpu"]
    Path("base.json").write_text(json.dumps(baseline))
    assert ci(judge, *refused) == 1


def test_what_fails_by_itself_is_never_a_baseline(place, judge, capsys):
    Path("base.json").unlink()
    wrong_scheduler_table(place)
    assert ci(judge, "--update-baseline", "I want it so") == 1
    assert json.loads(Path("base.json").read_text())["entries"] == {}
    assert "no new baseline of toy/cpu" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--targets", "mars"], ["--targets", ","], ["--update-baseline", " "]])
def test_wrong_options_are_refused(place, judge, arguments):
    assert ci(judge, *arguments) == 2


def test_a_broken_baseline_is_told(place, judge, capsys):
    Path("base.json").write_text('{"entries": 3}')
    assert ci(judge) == 2
    assert "not a baseline" in capsys.readouterr().err
