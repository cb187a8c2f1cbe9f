"""`t3export sensitivity` and `t3export tune` from outside, on a random Shap-E of a few thousand parameters."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
import yaml
from PIL import Image

from exporter.recipe.policy import Policy, Rule
from exporter.recipe.recipe_file import load_recipe
from t3export.cli import run
from t3export.commands.tune import _write
from tests.exporter.quantize.bench import tiny_recipe
from tests.exporter.tiny import write_tiny_shap_e
from tests.validate.tiny_clip import write_clip

if TYPE_CHECKING:
    from validate.tune.tune import Tuning

pytestmark = pytest.mark.usefixtures("judge_that_guesses")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, a judge and captions, and the cache that all tests share."""
    folder = tmp_path_factory.mktemp("tune")
    recipe = tiny_recipe(write_tiny_shap_e(folder / "weights"))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.data()))
    (folder / "captions.txt").write_text("a red ball\na blue ball\n")
    write_clip(folder / "judge")
    return folder


@pytest.fixture(autouse=True)
def _cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T3EXPORT_CACHE", str(place / "cache"))
    monkeypatch.chdir(place)


def test_sensitivity_writes_a_table_a_json_and_a_picture(place: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["sensitivity", "recipe.yaml", "--candidates", "int8"]
    assert run([*arguments, "-o", "out/tiny.json"]) == 0
    out, err = capsys.readouterr()
    assert "denoiser/prior.transformer_blocks.1.ff.net.2" in out and "all layers in" in out
    assert "tiny.json" in err and "tiny.png" in err
    told = json.loads((place / "out/tiny.json").read_text())
    layers = {loss["layer"] for loss in told["losses"]}
    assert {loss["candidate"] for loss in told["losses"]} == {"int8"} and len(layers) == len(told["losses"]) > 20
    with Image.open(place / "out/tiny.png") as picture:
        assert picture.height > 18 * len(layers)
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told
    assert (place / "artifacts/tiny/sensitivity_cpu.json").exists()


def tune(*more: str) -> int:
    # So small a layer is slower in INT8.
    return run(["tune", "recipe.yaml", "--candidates", "int8", "--objective", "size", *more])


def test_tune_by_snr_gives_the_same_policy_every_time(place: Path, capsys: pytest.CaptureFixture) -> None:
    policies = []
    for _ in range(2):
        assert tune("--min-snr", "15", "-o", "out/policy.yaml") == 0
        policies.append((place / "out/policy.yaml").read_text())
    out, err = capsys.readouterr()
    assert policies[0] == policies[1]
    assert "taken" in out and "budget" in out and "foretold denoiser" in err and "good enough" in err
    policy = Policy.load(place / "out/policy.yaml")
    assert {rule.precision for rule in policy.rules} <= {"int8", "fp32"} and policy.rules


def test_a_policy_that_was_written_can_be_used_and_says_why(place: Path) -> None:
    assert tune("--min-snr", "20", "-o", "policy.yaml") == 0
    text = (place / "policy.yaml").read_text()
    assert "# " in text and "dB of" in text
    assert run(["recipe", "check", "recipe.yaml", "--set", "quantization.policy=policy.yaml"]) == 0


def test_tune_by_the_objects_that_are_made(place: Path, capsys: pytest.CaptureFixture) -> None:
    judged = ["--prompts", "captions.txt", "--evaluator", "judge", "--workers", "0"]
    assert tune("--max-drop", "20", *judged, "-o", "unproven.yaml") == 2
    assert "2 pairs cannot prove it" in " ".join(capsys.readouterr().err.split())
    assert tune("--max-drop", "100", *judged, "-o", "judged.yaml", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] and (place / "judged.yaml").exists()
    last = told["attempts"][-1]
    assert last["prompts"] == 2 and -100 <= last["drop_points"] <= 100 and 0 <= last["mcnemar_p"] <= 1
    assert "McNemar p" in last["summary"] and last["measured_db"]["denoiser"] > 0


@pytest.mark.slow
def test_a_sampler_with_fewer_evaluations_becomes_a_recipe(
    place: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, few in {"SOLVERS": ("euler",), "STEPS": (2, 3), "INTERVALS": ((0.0, 8.0),)}.items():
        monkeypatch.setattr(f"validate.tune.samplers.{name}", few)
    judged = ["--prompts", "captions.txt", "--evaluator", "judge", "--workers", "0"]
    search = ["tune", "recipe.yaml", "--search", "sampler", "--max-drop", "100", *judged, "-o", "fast/few.yaml"]
    assert run(search) == 0
    out, err = capsys.readouterr()
    assert "taken" in out and "14 rows an object" in out and "good enough" in err
    assert "the recipe with the sampler: fast/few.yaml" in " ".join(err.split())
    assert not (place / "fast/few_recipe.yaml").exists()
    own, found = load_recipe(place / "recipe.yaml"), load_recipe(place / "fast/few.yaml")
    assert found.validation.sampler == own.sampler and found.sampler.steps < own.sampler.steps
    assert found.quantization == own.quantization and found.name == "tiny_tuned"
    assert run(["build", "fast/few.yaml", "-o", "fast/bundle"]) == 0
    assert run(["validate", "fast/bundle", "--rungs", "quality", *judged]) in (0, 5)
    told = " ".join(capsys.readouterr().out.split())
    assert f"against {own.sampler.steps} heun steps: from" in told


@pytest.mark.parametrize(
    ("policy", "written"),
    [
        (None, {"the recipe with the sampler": "fast.yaml"}),
        (
            Policy(rules=[Rule(layers="denoiser/*", precision="int8")]),
            {"the policy": "fast.yaml", "the recipe with the sampler and the policy": "fast_recipe.yaml"},
        ),
    ],
)
def test_the_recipe_with_the_sampler_gives_way_to_a_policy_alone(
    place: Path, tmp_path: Path, policy: Policy | None, written: dict[str, str]
) -> None:
    own = load_recipe(place / "recipe.yaml")
    sampler = own.sampler.model_copy(update={"steps": 3})
    tuning = cast("Tuning", SimpleNamespace(policy=policy, sampler=sampler))
    found = _write(tuning, own, place / "recipe.yaml", tmp_path / "fast.yaml", None)
    assert {what: path.name for what, path in found.items()} == written
    recipe = load_recipe(list(found.values())[-1])
    assert recipe.sampler.steps == 3 and recipe.validation.sampler == own.sampler
    assert recipe.quantization.rules == (policy.rules if policy else [])


def test_a_goal_out_of_reach_exits_with_5_and_writes_nothing(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert tune("--min-snr", "150", "-o", "none.yaml") == 5
    assert "no policy was good enough" in " ".join(capsys.readouterr().err.split())
    assert tune("--min-snr", "150", "-o", "none.yaml", "--json") == 5
    assert json.loads(capsys.readouterr().out)["passed"] is False
    assert not (place / "none.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tune", "recipe.yaml", "--max-drop", "1", "--min-snr", "20"], "exclude each other"),
        (["tune", "recipe.yaml", "--search", "both", "--min-snr", "20"], "judged by its objects"),
        (["tune", "recipe.yaml", "--search", "sampler", "--objective", "size"], "--objective latency"),
        (["tune", "recipe.yaml", "--search", "policy", "--stage", "base"], "--search policy searches for none"),
        (["tune", "recipe.yaml", "--objective", "speed"], "'speed' is not one of 'latency', 'size'"),
        (["tune", "recipe.yaml", "--candidates", "palette:4"], "add validation.tolerances.palette"),
        (["tune", "recipe.yaml", "--max-drop", "-1"], "--max-drop"),
        (["tune", "recipe.yaml", "--min-snr", "20", "--search", "policy", "--unproven"], "--unproven is about"),
        (["tune", "recipe.yaml", "-o", "recipe.yaml"], "is the recipe itself"),
        (["tune", "recipe.yaml", "--prompts", "absent.txt"], "absent.txt"),
        (["tune", "recipe.yaml", "--target", "orin"], "runs on its own device"),
        (["sensitivity", "recipe.yaml", "--candidates", "int9"], "did you mean 'int8'"),
        (["sensitivity", "recipe.yaml", "--prompts", "0"], "--prompts"),
        (["sensitivity", "absent.yaml"], "absent.yaml: no such file"),
    ],
)
def test_wrong_input_is_told_before_anything_is_measured(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(arguments) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_quality_is_never_claimed_of_random_weights(capsys: pytest.CaptureFixture) -> None:
    assert tune("--weights", "random:shap-e-mini") == 2
    assert "ask for --min-snr instead" in " ".join(capsys.readouterr().err.split())
