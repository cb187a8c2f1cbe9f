"""The ladder and the search for a culprit on programs that somebody else exported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exporter.adopt.adopt import Adopted, adopt
from exporter.errors import BundleError, WeightsError
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.recipe.recipe import Recipe
from tests.exporter.tiny import write_tiny_shap_e
from tests.foreign_export import build_ours, edit, scale_weight, write_foreign
from validate.bisect.pair import Originals
from validate.bisect.verdicts import search, stages_to_search
from validate.ladder.report import Report
from validate.objects.reference import load_reference
from validate.prove import OWN_PROMPTS, Options, validate_bundle

LADDER = ["stages", "steps", "latents", "shape", "renders", "quality"]
WEIGHT = "denoiser.prior.transformer_blocks.0.attn1.to_out.0.weight_quantized"


@pytest.fixture(scope="module")
def described(step_cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs")
    ours = build_ours(folder, write_tiny_shap_e(folder / "weights"), step_cache)
    return write_foreign(folder / "export", *ours, trained=True)


@pytest.fixture(scope="module")
def adopted(described: Path) -> Adopted:
    return adopt(described, described.parent.parent / "bundle")


@pytest.fixture(scope="module")
def broken(described: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their bundle with one weight of the deployed sampler scaled before it was adopted."""
    export = shutil.copytree(described.parent, tmp_path_factory.mktemp("broken") / "export")
    scale_weight(export / "deployed" / "prior.onnx", WEIGHT, -0.5)
    return adopt(export / described.name, export.parent / "bundle").out


def statuses(report: Report) -> dict[str, str]:
    return {rung.name: rung.status for rung in report.rungs}


def test_a_sound_export_climbs_the_ladder(adopted: Adopted) -> None:
    report = validate_bundle(adopted.out, Options(objects=0))
    assert statuses(report) == dict.fromkeys(LADDER[:-1], "passed") | {"quality": "refused"}
    assert report.rungs[-1].reason == OWN_PROMPTS and report.passed
    assert report.weights["source"] == "adopted"
    layers = {(one["stage"], one["layer"]): one["snr_db"] for one in report.layers}
    assert 10 < float(layers["prior", "denoiser/prior.transformer_blocks.1.ff.net.0.proj"]) < 80


def test_no_family_and_no_weights_are_opened(adopted: Adopted, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError(f"a model was loaded: {given}")

    monkeypatch.setattr("validate.objects.reference.load_model", refuse)
    monkeypatch.setattr("exporter.workshop.workshop.load_model", refuse)
    assert validate_bundle(adopted.out, Options(quality=False)).passed


@pytest.mark.usefixtures("judge_that_guesses")
def test_quality_is_measured_on_prompts_of_ones_own(adopted: Adopted, clip_folder: Path, tmp_path: Path) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("a red chair\na blue table\na tall mug\n", encoding="utf-8")
    options = Options(rungs=("quality",), prompts=captions, evaluator=clip_folder)
    (rung,) = validate_bundle(adopted.out, options).rungs
    assert rung.status in ("passed", "failed") and not rung.reason
    assert rung.details["prompts"] == 3 and not rung.details["reference_from_cache"]
    (again,) = validate_bundle(adopted.out, options).rungs
    assert again.details["reference_from_cache"] and again.figures == rung.figures


def test_a_scaled_weight_fails_at_the_trajectory(broken: Path) -> None:
    report = validate_bundle(broken, Options(rungs=("steps", "latents", "shape", "renders")))
    assert statuses(report) == {"steps": "failed", "latents": "failed", "shape": "passed", "renders": "passed"}
    assert report.rungs[0].summary.startswith("prior ")


def test_bisect_names_the_tensor(broken: Path) -> None:
    originals = Originals.open(broken, Cache(), Silent())
    findings = search(originals, stages_to_search(originals.manifest, "latents", None), None, lambda told: None)
    assert [finding.stage for finding in findings] == ["words", "prior"]
    culprit = findings[-1].culprit
    assert culprit is not None and culprit.tensor == "denoiser/prior.transformer_blocks.0.attn1.to_out.0/Add:0"


def test_bisect_finds_nothing_in_a_sound_export(adopted: Adopted) -> None:
    originals = Originals.open(adopted.out, Cache(), Silent())
    findings = search(originals, stages_to_search(originals.manifest, None, None), None, lambda told: None)
    assert len(findings) == 5 and all(finding.kept for finding in findings)


def test_there_is_no_pytorch_model_of_it(adopted: Adopted) -> None:
    recipe = Recipe.model_validate(adopted.manifest.recipe)
    with pytest.raises(BundleError, match="no PyTorch model"):
        load_reference(adopted.manifest, recipe)
    with pytest.raises(WeightsError, match="the float programs in it"):
        validate_bundle(adopted.out, Options(quality=False, weights="shap-e-mini"))


def test_random_programs_say_nothing_of_quality(described: Path, tmp_path: Path) -> None:
    export = shutil.copytree(described.parent, tmp_path / "export")
    made = adopt(edit(export / described.name, "trained", to=False), tmp_path / "bundle")
    (rung,) = validate_bundle(made.out, Options(rungs=("quality",))).rungs
    assert rung.status == "refused" and "random" in rung.reason
