from __future__ import annotations

import json
import math

import pytest

from exporter.errors import RecipeError, ValidationFailed
from exporter.search.losses import Loss, Sensitivity
from exporter.targets.target import load_target
from tests.exporter.quantize.bench import tiny_recipe
from validate.tune.trial import TrialVerdict, at_least
from validate.tune.tune import ATTEMPTS, Tuning, choose_for, walk

# One layer for every decade of noise: the tighter the budget, the fewer of them.
LOSSES = [
    Loss("denoiser", f"denoiser/{i}", "linear", "int8", "guided", {"early": 10.0**-i, "late": 10.0**-i}, 100, 1.0)
    for i in range(1, 7)
]


def good_below(layers):
    """Says yes to policies that change fewer layers, which it notes."""
    tried = []

    def trial(policy, measured, name):
        changed = sum(policy.choose(loss.layer, "linear") is not None for loss in LOSSES)
        tried.append((changed, measured["guided"]))
        return TrialVerdict(changed < layers, f"{changed} layers", {"drop_points": float(changed)})

    return trial, tried


def run(trial, start_db=9.0, losses=LOSSES, told=None):
    attempts = [] if told is None else told
    return walk(losses, "latency", start_db, lambda policy: {"guided": 20.0}, trial, attempts.append)


def test_the_first_policy_that_is_good_enough_is_taken():
    told = []
    trial, tried = good_below(7)
    attempts = run(trial, told=told)
    assert len(attempts) == 1 and attempts == told and tried == [(6, 20.0)]


def test_the_budget_is_tightened_where_the_proxy_lied():
    trial, tried = good_below(5)
    attempts = run(trial)
    assert [attempt.verdict.passed for attempt in attempts] == [False, False, True]
    # All six leave 9.5 dB; without the worst it is 19.5, without the next 29.5.
    assert [attempt.budget_db for attempt in attempts] == pytest.approx([9.0, 12.5, 22.5], abs=0.1)
    assert [changed for changed, _ in tried] == [6, 5, 4]
    assert all(attempt.choice.nsr["guided"] <= 10 ** (-attempt.budget_db / 10) * 1.00001 for attempt in attempts)


def test_it_gives_up_after_some():
    many = [loss for i in range(20) for loss in [LOSSES[3].__class__(**vars(LOSSES[3]) | {"layer": f"denoiser/{i}"})]]
    trial = lambda policy, measured, name: TrialVerdict(False, name)  # noqa: E731
    attempts = run(trial, start_db=27.0, losses=many)
    assert 1 < len(attempts) <= ATTEMPTS and not any(attempt.verdict.passed for attempt in attempts)
    names = [f"policy {number} of at most {ATTEMPTS}" for number in range(1, len(attempts) + 1)]
    assert [attempt.verdict.summary for attempt in attempts] == names


def test_a_policy_that_cannot_be_built_is_backed_off_from():
    def measured(policy):
        if policy.choose("denoiser/1", "linear"):
            raise ValidationFailed("denoiser: 1 of 6 is not fused")
        return {"guided": 30.0}

    attempts = walk(LOSSES, "latency", 9.0, measured, at_least(25.0), lambda attempt: None)
    assert [attempt.verdict.passed for attempt in attempts] == [False, True]
    assert attempts[0].verdict.summary == "it cannot be built: denoiser: 1 of 6 is not fused"


def test_what_is_exact_is_not_tried_again():
    exact = [Loss("denoiser", "denoiser/0", "linear", "fp16", "guided", {"early": 0.0}, 100, 1.0)]
    assert (
        len(walk(exact, "latency", 20.0, lambda policy: {}, lambda *_: TrialVerdict(False, "no"), lambda _: None)) == 1
    )


def test_nothing_fits():
    assert run(good_below(9)[0], start_db=80.0) == []


def tuning(attempts):
    sensitivity = Sensitivity("tiny", "0" * 64, "cpu", {"processor": "a", "cores": 1}, 4, {"denoiser": 10}, 3.0, LOSSES)
    return Tuning(sensitivity, "latency", [attempt.choice for attempt in attempts], attempts)


def test_a_tuning_without_a_policy_says_why():
    found = tuning(run(good_below(0)[0]))
    with pytest.raises(ValidationFailed, match=r"no policy was good enough \(\d tried\): \d layers"):
        found.require_passed()
    with pytest.raises(ValidationFailed, match="no layer is faster in any"):
        tuning([]).require_passed()
    assert found.to_dict()["policy"] is None and not found.to_dict()["passed"]


def test_a_tuning_as_json():
    told = json.loads(json.dumps(tuning(run(good_below(5)[0])).to_dict()))
    assert [attempt["passed"] for attempt in told["attempts"]] == [False, False, True]
    assert told["attempts"][0]["drop_points"] == 6.0 and told["attempts"][-1]["budget_db"] == pytest.approx(
        22.5, abs=0.1
    )
    assert told["policy"]["rules"] and math.isfinite(told["front"][0]["foretold_db"]["guided"])


@pytest.mark.parametrize(
    ("labels", "precisions", "told"),
    [
        (["palette:4"], ["fp32", "int8"], "add validation.tolerances.palette"),
        (["int9"], ["fp32"], "did you mean 'int8'"),
    ],
)
def test_candidates_that_cannot_be_judged(labels, precisions, told, tmp_path):
    with pytest.raises(RecipeError, match=told):
        choose_for(tiny_recipe(tmp_path, precisions=precisions), load_target("cpu"), labels)


def test_without_labels_whatever_the_recipe_has_tolerances_for(tmp_path):
    rules = choose_for(tiny_recipe(tmp_path, precisions=["fp32", "int8", "fp16"]), load_target("cpu"), [])
    assert [rule.precision for rule in rules] == ["fp16", "int8"]
