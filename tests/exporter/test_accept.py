from __future__ import annotations

from pathlib import Path

import pytest

from exporter.accept import misfits, require_accepted
from exporter.errors import RecipeError
from exporter.recipe_file import load_recipe
from exporter.target import load_target

RECIPES = Path(__file__).parents[2] / "recipes"
INT8 = load_recipe(RECIPES / "shape_e_int8.yaml")


def refusing(**refused):
    return load_target("cpu").model_copy(update={"precisions": ["fp32", "int8"], "refused": refused})


def test_a_recipe_that_fits_is_taken():
    assert misfits(INT8, refusing()) == {}
    require_accepted(INT8, refusing())


def test_a_precision_is_refused_with_what_there_is_and_the_reason_where_one_is_known():
    recipe = load_recipe(RECIPES / "shape_e_int4.yaml")
    with pytest.raises(
        RecipeError, match=r"fp16, int4_weights, int8_weights, which target 'cpu' lacks; it has fp32, int8$"
    ):
        require_accepted(recipe, refusing())
    with pytest.raises(RecipeError, match=r"it has fp32, int8 \(int4_weights: no kernel\)$"):
        require_accepted(recipe, refusing(int4_weights="no kernel"))


def test_a_setting_is_refused_with_the_reason():
    target = refusing(**{"sampler.unroll=loop": "runs a Loop one time too many; choose step"})
    require_accepted(INT8, target)
    looped = load_recipe(RECIPES / "shape_e_int8.yaml", ["sampler.unroll=loop"])
    assert misfits(looped, target) == {"sampler.unroll=loop": "runs a Loop one time too many; choose step"}
    with pytest.raises(RecipeError, match=r"sampler.unroll: loop is refused for target 'cpu': .*; choose step"):
        require_accepted(looped, target)
