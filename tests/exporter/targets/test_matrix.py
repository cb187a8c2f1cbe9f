"""Every shipped recipe on every target: built, or refused with its reason before anything heavy runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.build.build import build
from exporter.errors import RecipeError
from exporter.recipe.policy import RULE_PRECISIONS
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.matrix import cell, matrix
from exporter.targets.target import list_targets

RECIPES = {path.stem: load_recipe(path) for path in sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))}
TARGETS = {target.name: target for target in list_targets()}
PAIRS = [(recipe, target) for recipe in RECIPES for target in TARGETS]


class WorkStarted(Exception):
    pass


@pytest.mark.parametrize(("recipe", "target"), PAIRS, ids=lambda name: name)
def test_a_pair_is_built_or_refused_with_its_reason_before_anything_heavy(recipe, target, monkeypatch, tmp_path):
    def started(*_):
        raise WorkStarted

    monkeypatch.setattr("exporter.build.build.Workshop.open", started)
    found = cell(RECIPES[recipe], TARGETS[target])
    expected = {"builds": WorkStarted, "refused": RecipeError, "planned": RecipeError}[found.state]
    with pytest.raises(expected) as told:
        build(RECIPES[recipe], TARGETS[target], tmp_path / "out")
    if found.state == "refused":
        assert found.reasons and all(reason in str(told.value) for reason in found.reasons.values())
    if found.state == "planned":
        assert "is planned" in str(told.value)


@pytest.mark.parametrize("target", [name for name, target in TARGETS.items() if target.status == "complete"])
def test_a_complete_target_takes_a_precision_or_says_why_not(target):
    reasons = {name: TARGETS[target].reason_against(name) for name in RULE_PRECISIONS}
    assert {name for name, reason in reasons.items() if reason is None} == set(TARGETS[target].precisions)
    assert "not offered for this target" not in reasons.values()


def test_a_row_for_each_target_and_a_column_for_each_recipe():
    rows = matrix(list(RECIPES.values()), list(TARGETS.values()))
    assert [[(one.recipe, one.target) for one in row] for row in rows] == [[(r, t) for r in RECIPES] for t in TARGETS]


def test_a_refusal_names_the_precision_the_reason_and_what_there_is():
    found = cell(RECIPES["shape_e_int8"], TARGETS["cuda"])
    assert found.state == "refused" and set(found.reasons) == {"int8"}
    assert "CUDA provider multiplies Q/DQ layers in floating point" in found.reasons["int8"]
