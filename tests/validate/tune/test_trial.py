from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exporter.errors import RecipeError, ValidationFailed
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.recipe.policy import Policy, Rule
from exporter.targets.target import load_target
from tests.exporter.quantize.bench import tiny_recipe
from tests.validate.toy import toy_pipeline
from validate.judge.judge_errors import PromptsError
from validate.judge.rprecision import compare_runs
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome
from validate.prove import Options
from validate.tune import trial
from validate.tune.trial import PairedTest, at_least
from validate.tune.tune import with_sampler


@pytest.fixture
def paired(tmp_path: Path, clip_folder: Path) -> PairedTest:
    captions = tmp_path / "captions.txt"
    captions.write_text("a red ball\na blue ball\n")
    options = Options(prompts=captions, evaluator=clip_folder)
    made = tiny_recipe(tmp_path), toy_pipeline(), load_target("cpu"), 0.5, options, Cache(tmp_path / "cache"), Silent()
    return PairedTest(*made, unproven=True)


def test_the_snr_of_the_worst_currency_counts() -> None:
    enough = at_least(20.0)
    assert enough(Policy(), {"guided": 25.0, "projector": 20.0}, "a").passed
    assert enough(Policy(), {}, "a").passed
    verdict = enough(Policy(), {"guided": 25.0, "projector": 19.9}, "a")
    assert not verdict.passed and verdict.summary == "19.9 dB measured, at least 20.0 dB wanted"


def test_a_bundle_that_misses_its_goldens_is_not_good_enough(
    paired: PairedTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(recipe, target, out, **settings):
        asked.append((recipe.quantization.rules, target.name))
        raise ValidationFailed("stage 'denoiser' misses its golden")

    monkeypatch.setattr(trial, "build", refuse)
    rules = [Rule(layers="denoiser/*", precision="int8")]
    verdict = paired(Policy(rules=rules), {"guided": 30.0}, "policy 1 of at most 6")
    assert not verdict.passed and verdict.summary == "it cannot be built: stage 'denoiser' misses its golden"
    assert asked == [(rules, "cpu")]


def test_the_drop_that_is_allowed_is_that_of_the_goal(paired: PairedTest) -> None:
    assert paired.plan.max_drop_points == 0.5 and len(paired.plan.prompts) == 2 and not paired.plan.under_specified


def test_too_few_prompts_to_prove_a_drop_are_told_at_once(paired: PairedTest, tmp_path: Path) -> None:
    given = paired.recipe, toy_pipeline(), paired.target
    with pytest.raises(RecipeError, match=r"--max-drop 5: 2 pairs cannot prove it.*65\.8 points.*73 pairs.*--unproven"):
        PairedTest(*given, 5.0, paired.options, paired.cache, paired.progress)
    with pytest.raises(RecipeError, match="no number does"):
        PairedTest(*given, 0.0, paired.options, paired.cache, paired.progress)


@pytest.mark.parametrize(
    ("lost", "drop", "unproven", "passed", "words"),
    [
        (0, -0.1, False, True, "good enough"),
        (1, 0.5, False, False, "not good enough"),
        (1, 0.5, True, True, "good enough, not proven"),
        (8, 4.0, True, False, "not good enough"),
    ],
)
def test_a_loss_that_may_be_larger_than_allowed_is_no_proof(
    paired: PairedTest,
    monkeypatch: pytest.MonkeyPatch,
    lost: int,
    drop: float,
    unproven: bool,
    passed: bool,
    words: str,
) -> None:
    reference = np.ones(200)
    bundle = np.concatenate([np.zeros(lost), np.ones(200 - lost)])
    details = dict.fromkeys(trial._TOLD) | {
        "difference_points": {"low": 100 * compare_runs(reference, bundle).difference.low}
    }
    figure = Figure("bundle", "R-Precision", "drop", drop, "points", 2.0, "at most", "of 200 pairs")
    monkeypatch.setattr(trial, "build", lambda *_, **__: None)
    monkeypatch.setattr(trial.Bundle, "open", lambda *_: None)
    monkeypatch.setattr(PairedTest, "_compare", lambda *_: Outcome([figure], details=details))
    paired.plan, paired.unproven = replace(paired.plan, max_drop_points=2.0), unproven
    verdict = paired.judge(paired.recipe, "policy 1")
    assert (verdict.passed, verdict.words) == (passed, words)
    assert ("not proven: the loss may be as large as" in verdict.summary) == bool(lost)


def test_beside_a_reference_at_chance_nothing_is_good_enough(
    paired: PairedTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "build", lambda *_, **__: None)
    monkeypatch.setattr(trial.Bundle, "open", lambda *_: None)
    monkeypatch.setattr(
        PairedTest, "_compare", lambda *_: Outcome(failed="the reference itself is no better than chance")
    )
    with pytest.raises(ValidationFailed, match="no better than chance"):
        paired.judge(paired.recipe, "policy 1")


def test_wrong_prompts_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(PromptsError, match=r"absent\.txt"):
        PairedTest(
            tiny_recipe(tmp_path),
            toy_pipeline(),
            load_target("cpu"),
            0.5,
            Options(prompts=tmp_path / "absent.txt"),
            Cache(tmp_path),
            Silent(),
        )


def test_a_recipe_with_another_sampler_is_compared_with_what_its_own_makes(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    fewer = recipe.sampler.model_copy(update={"scheduler": "euler", "steps": 2})
    tuned = with_sampler(recipe, fewer)
    assert tuned.sampler == fewer and tuned.validation.sampler == recipe.sampler
    assert with_sampler(tuned, recipe.sampler).validation.sampler == recipe.sampler
