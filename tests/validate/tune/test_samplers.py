from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import RecipeError
from exporter.families.registry import load_model
from exporter.machine.meter import Silent
from exporter.recipe.recipe_file import load_recipe
from exporter.recipe.sampler_section import SamplerSection
from tests.exporter.quantize.bench import tiny_recipe
from tests.exporter.tiny import write_tiny_shap_e
from validate.tune import samplers
from validate.tune.samplers import Candidate, bisect, count_rows, front_of, search_samplers, searched_stage
from validate.tune.trial import TrialVerdict

POINT_E = Path(__file__).parents[3] / "recipes" / "point_e_fp32.yaml"
CANDIDATES = st.lists(
    st.tuples(st.integers(1, 30), st.floats(0, 1)).map(lambda p: Candidate(SimpleNamespace(rows=p[0]), *p)), max_size=20
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = write_tiny_shap_e(tmp_path_factory.mktemp("tiny"))
    return SimpleNamespace(model=load_model("shap-e", str(folder)), recipe=tiny_recipe(folder))


@given(CANDIDATES)
def test_nothing_is_both_as_fast_as_one_on_the_front_and_nearer(candidates):
    front = front_of(candidates)
    assert bool(front) == bool(candidates)
    for one in front:
        assert not any(other.rows <= one.rows and other.error < one.error for other in candidates)
    assert [one.rows for one in front] == sorted({one.rows for one in front})


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_fastest_that_is_good_enough_is_found_in_few_trials(count, needed):
    front = [Candidate(SimpleNamespace(rows=rows), rows, 1 / (rows + 1)) for rows in range(count)]
    names = []

    def judge(sampler, name):
        names.append(name)
        return TrialVerdict(sampler.rows >= needed, "")

    attempts = bisect(front, judge, lambda attempt: None)
    passed = [attempt.candidate.rows for attempt in attempts if attempt.verdict.passed]
    assert min(passed, default=None) == (needed if needed < count else None)
    assert len(attempts) <= count.bit_length()
    counted = [tuple(map(int, re.findall("[0-9]+", name))) for name in names]
    assert [number for number, _ in counted] == list(range(1, len(attempts) + 1))
    assert all(len(attempts) <= most <= count.bit_length() for _, most in counted)


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"scheduler": "heun", "steps": 64}, 254),
        ({"scheduler": "dpmpp_2m", "steps": 8}, 16),
        ({"scheduler": "dpmpp_2m", "steps": 8, "guidance_scale": 1.0}, 8),
        ({"scheduler": "euler", "steps": 4, "guidance_interval": [100.0, 500.0]}, 5),
    ],
)
def test_rows_are_those_of_both_branches(tiny, changes, rows):
    assert count_rows(tiny.model, "denoiser", SamplerSection(**{"guidance_scale": 3.0} | changes)) == rows


def test_samplers_are_screened_and_the_fastest_good_one_is_chosen(tiny, monkeypatch):
    monkeypatch.setattr(samplers, "SOLVERS", ("dpmpp_2m", "euler"))
    monkeypatch.setattr(samplers, "STEPS", (2, 4, 40))
    monkeypatch.setattr(samplers, "TYPICAL", 5)
    monkeypatch.setattr(samplers, "SCHEDULES", (("karras", None), ("exponential", 40.0), ("karras", 1e6)))
    monkeypatch.setattr(samplers, "INTERVALS", ((0.0, 20.0),))
    judged, told = [], []

    def judge(sampler, name):
        judged.append(sampler)
        rows = count_rows(tiny.model, "denoiser", sampler)
        return TrialVerdict(rows >= 6, f"{rows} rows", {"drop_points": 6.0 - rows})

    found = search_samplers(tiny.model, tiny.recipe, judge, Silent(), told.append)
    assert found.rows == 14 and found.attempts == told and [a.candidate.sampler for a in told] == judged
    # Forty steps cost more than the recipe's own seven evaluations; an interval is tried of what is on the front.
    assert all(candidate.rows < 14 for candidate in found.front) and 2 + 8 < found.screened <= 2 + 8 + 10
    assert any(candidate.sampler.guidance_interval for candidate in found.front)
    assert found.chosen is not None and found.chosen.rows == min(c.rows for c in found.front if c.rows >= 6)
    told_json = json.loads(json.dumps(found.to_dict()))
    assert told_json["chosen"]["rows"] == found.chosen.rows and told_json["attempts"][0]["drop_points"] <= 4.0


def test_without_guidance_there_is_no_interval_of_it(tiny, monkeypatch):
    monkeypatch.setattr(samplers, "SOLVERS", ("euler",))
    monkeypatch.setattr(samplers, "STEPS", (2, 3))
    monkeypatch.setattr(samplers, "SCHEDULES", (("karras", None),))
    monkeypatch.setattr(samplers, "TYPICAL", 4)
    unguided = tiny.recipe.sampler.model_copy(update={"guidance_scale": 1.0})
    recipe = tiny.recipe.model_copy(update={"sampler": unguided})
    found = search_samplers(
        tiny.model, recipe, lambda sampler, name: TrialVerdict(False, "no"), Silent(), lambda attempt: None
    )
    assert found.screened == 3 and found.chosen is None


def test_a_model_is_loaded_once_for_all_samplers(tiny, monkeypatch):
    """Each candidate's own copy of the network stayed in memory: gigabytes for the small model."""
    loaded, load = [], type(tiny.model).prior

    def counted(self):
        loaded.append(1)
        return load(self)

    monkeypatch.setattr(type(tiny.model), "prior", counted)
    screened = samplers._Screen(tiny.model, tiny.recipe, "denoiser", lambda done, total: None)
    found = screened(screened.own.model_copy(update={"scheduler": "euler", "steps": steps}) for steps in (2, 3, 4))
    assert len(found) == 3 and len({candidate.error for candidate in found}) == 3 and loaded == [1]


def test_of_a_flow_fewer_steps_are_tried_and_no_other_solver(monkeypatch):
    own = SamplerSection(scheduler="flow_euler", steps=20, guidance_scale=1.0)

    class Screened:
        def __init__(self, model, recipe, stage, told):
            self.own = recipe.sampler

        def __call__(self, tried):
            return [Candidate(one, 1, 0.5) for one in tried]

    monkeypatch.setattr(samplers, "_Screen", Screened)
    found = samplers.screen(None, SimpleNamespace(sampler=own), "flow", None)
    assert [one.sampler for one in found] == [own.model_copy(update={"steps": steps}) for steps in samplers.STEPS]


def test_no_schedule_begins_above_the_recipes_own_highest_level(monkeypatch):
    """Point-E's model was trained up to a level of 20778, and its recipe begins at 120: steps above it are lost."""
    own = SamplerSection(scheduler="heun", steps=8, highest_noise=60.0, guidance_scale=1.0)
    tried = []

    class Screened:
        levels = (60.0, 1.0)

        def __init__(self, model, recipe, stage, told):
            self.own = recipe.sampler

        def __call__(self, samplers):
            tried.extend(samplers)
            return [Candidate(one, 1, 0.5) for one in tried]

    monkeypatch.setattr(samplers, "_Screen", Screened)
    samplers.screen(None, SimpleNamespace(sampler=own), "base", None)
    assert {one.highest_noise for one in tried} == {60.0, 40.0, 20.0}


def test_of_several_stages_the_one_that_is_searched_for_is_named():
    both = SimpleNamespace(of_kind=lambda kind: ["base", "upsampler"])
    assert searched_stage(both, "upsampler") == "upsampler"
    with pytest.raises(RecipeError, match="--stage base or --stage upsampler"):
        searched_stage(both, None)
    with pytest.raises(RecipeError, match="did you mean 'base'"):
        searched_stage(both, "bas")
    with pytest.raises(RecipeError, match="in no stage"):
        searched_stage(SimpleNamespace(of_kind=lambda kind: []), None)


def test_of_two_samplers_one_is_screened_and_the_other_stays():
    model = load_model("point-e", "random:point-e-tiny-text")
    short = ["samplers.base.steps=2", "samplers.base.churn=null", "samplers.upsampler.steps=2"]
    recipe = load_recipe(POINT_E, short, "random:point-e-tiny-text")
    screened = samplers._Screen(model, recipe, "upsampler", lambda done, total: None)
    found = screened([screened.own.model_copy(update={"scheduler": "euler"})])
    assert screened.goal.shape[1:] == (144, 6) and found[0].rows == 2 and found[0].error > 0
