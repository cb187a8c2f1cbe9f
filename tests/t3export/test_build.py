from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporter.build import build as builder
from exporter.build.build import BuildReport
from exporter.machine.meter import StepRecord
from exporter.machine.processor import Processor
from exporter.manifest import bundle_digest, read_manifest
from exporter.recipe.policy import no_match
from exporter.targets.target import TARGETS
from exporter.workshop.goldens import GoldenParity
from exporter.workshop.parity import Parity
from t3export.cli import run

ROOT = Path(__file__).parents[2]
FP32 = str(ROOT / "recipes/shape_e_fp32.yaml")
INT8 = str(ROOT / "recipes/shape_e_int8.yaml")


@pytest.fixture
def asked(monkeypatch, toy_bundle):
    """The build replaced by one that tells a single step and reports the toy bundle; gives what it was asked."""
    seen = {}

    def fake(recipe, target, out, *, cache, progress, need_gain, prove):
        seen.update(recipe=recipe, target=target, out=out, cache=cache.folder, need_gain=need_gain, prove=prove)
        progress.started("trace field")
        progress.advanced("trace field", 1, 2)
        record = StepRecord("trace field", seconds=1.25, peak_bytes=2_340_000_000, cached=True)
        progress.finished(record)
        parity = Parity(max_abs=0.0, relative_l2=0.0, cosine=1.0, snr_db=float("inf"))
        golden = GoldenParity("field", "color", "field_0.npz", "fp32", parity, 90.0)
        manifest = read_manifest(toy_bundle)
        return BuildReport(out, bundle_digest(manifest), manifest, [record], [golden])

    monkeypatch.setattr(builder, "build", fake)
    return seen


def test_recipe_target_and_options_arrive(asked, tmp_path, capsys):
    out = tmp_path / "out"
    more = ["--set", "sampler.steps=5", "--weights", "random:shap-e-mini", "-o", str(out)]
    assert run(["build", FP32, "--target", "cpu", *more]) == 0
    assert asked["recipe"].sampler.steps == 5 and asked["recipe"].model.weights == "random:shap-e-mini"
    assert asked["target"].name == "cpu" and asked["out"] == out
    captured = capsys.readouterr()
    assert "trace field" in captured.err and "1.2 s  peak  2.34 GB" in captured.err and "cached" in captured.err
    assert str(out) in captured.out.replace("\n", "") and "inf dB" in captured.out


def test_what_is_allowed_and_what_is_proved_arrive(asked, tmp_path):
    assert run(["build", FP32, "-o", str(tmp_path / "a")]) == 0
    assert asked["need_gain"] is True and asked["prove"] is None
    more = ["--allow", "no-gain", "--prove", "24", "--allow", "worse"]
    assert run(["build", FP32, "-o", str(tmp_path / "a"), *more]) == 0
    assert asked["need_gain"] is False
    told = asked["prove"].keywords
    assert told["prompts"] == 24 and told["allow_worse"] is True


def test_the_default_place_is_artifacts_recipe_target(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["build", FP32]) == 0
    assert asked["out"] == Path("artifacts/shape_e_fp32/cpu")


def test_auto_says_what_it_chose_and_why_and_why_not_the_others(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    processor = Processor("x86-64", frozenset({"avx2"}))
    monkeypatch.setattr("t3export.commands.build.this_processor", lambda: processor)
    assert run(["build", INT8, "--target", "auto", "--json"]) == 0
    assert asked["target"].name == "cpu" and asked["out"] == Path("artifacts/shape_e_int8/cpu")
    captured = capsys.readouterr()
    told = json.loads(captured.out)["auto"]
    assert told["target"] == "cpu" and "every processor" in told["because"]
    assert "VNNI" in told["passed_over"]["cpu-openvino"]
    assert "--target auto is cpu" in captured.err and "not cpu-openvino: " in captured.err


def test_json_is_one_document_without_infinities(asked, tmp_path, capsys):
    assert run(["build", FP32, "-o", str(tmp_path / "x"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["steps"][0]["cached"] is True and told["goldens"][0]["snr_db"] is None


def test_without_the_cache_nothing_is_kept(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("T3EXPORT_CACHE", str(tmp_path / "cache"))
    assert run(["build", FP32, "-o", str(tmp_path / "x"), "--no-cache"]) == 0
    assert asked["cache"] != tmp_path / "cache" and not asked["cache"].exists()
    assert run(["build", FP32, "-o", str(tmp_path / "x")]) == 0
    assert asked["cache"] == tmp_path / "cache"


def test_a_folder_of_something_else_is_never_replaced(asked, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert run(["build", FP32, "-o", str(tmp_path)]) == 4
    assert "is not a bundle" in capsys.readouterr().err
    assert not asked and (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([FP32, "--target", "gpu"], "no such target"),
        ([FP32, "--set", "sampler.scheduler=euler_ancestral"], "found 'euler_ancestral'; allowed: ddim"),
        (
            [FP32, "--set", "model.family=shape"],
            "model.family: found 'shape'; allowed: point-e, shap-e, shap-e-image, triposr",
        ),
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        ([str(Path(FP32).parent)], "recipes: a folder, where a .yaml file is expected; there are in it: "),
    ],
)
def test_wrong_input_is_told_before_anything_is_loaded(asked, capsys, arguments, told):
    assert run(["build", *arguments]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not asked


def test_a_rule_that_speaks_of_no_layer_is_told_with_its_line(monkeypatch, tmp_path, capsys):
    def refuses(recipe, *_, **__):
        raise no_match(2, recipe.quantization.rules[1], [])

    monkeypatch.setattr(builder, "build", refuses)
    assert run(["build", INT8, "-o", str(tmp_path / "x")]) == 2
    line = 1 + next(i for i, text in enumerate(Path(INT8).read_text().splitlines()) if '"denoiser/*"' in text)
    assert f"shape_e_int8.yaml:{line}: quantization.rules: rule 2" in " ".join(capsys.readouterr().err.split())


def test_a_planned_target_is_refused_before_anything_is_loaded(asked, tmp_path, capsys):
    path = tmp_path / "board.yaml"
    path.write_text((TARGETS / "cpu.yaml").read_text().replace("status: complete", "status: planned"))
    assert run(["build", FP32, "--target", str(path)]) == 2
    assert "planned: not built by this version" in " ".join(capsys.readouterr().err.split())
    assert not asked


def test_what_a_target_refuses_is_told_before_anything_is_loaded(asked, tmp_path, capsys):
    assert run(["build", INT8, "--target", "cuda", "-o", str(tmp_path / "out")]) == 2
    assert "CUDA provider multiplies Q/DQ layers in floating point" in " ".join(capsys.readouterr().err.split())
    assert not asked
