from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import RecipeError
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.accept import misfits, require_accepted
from exporter.targets.target import list_targets, load_target

RECIPES = Path(__file__).parents[3] / "recipes"
RECIPE = RECIPES / "shape_e_int8.yaml"
INT8 = load_recipe(RECIPE)
TENSORRT = [target.name for target in list_targets() if target.backend == "tensorrt"]


def test_there_are_targets_of_tensorrt():
    assert sorted(TENSORRT) == ["h200", "orin", "orin-nano", "rtx", "t4"]


@pytest.mark.parametrize("name", TENSORRT)
def test_shipped_int8_and_fp32_recipes_are_taken(name):
    for recipe in (RECIPE, "recipes/shape_e_fp32.yaml"):
        require_accepted(load_recipe(recipe), load_target(name))


@pytest.mark.parametrize("name", TENSORRT)
def test_a_loop_is_refused_with_its_reason(name):
    looped = load_recipe(RECIPE, ["sampler.unroll=loop"])
    with pytest.raises(RecipeError, match=rf"loop is refused for target '{name}': .*one iteration too many.*choose"):
        require_accepted(looped, load_target(name))
    require_accepted(load_recipe(RECIPE, ["sampler.unroll=full"]), load_target(name))
    require_accepted(looped, load_target("cpu"))


@pytest.mark.parametrize("recipe", ["recipes/shape_e_int4.yaml", "recipes/shape_e_tiny.yaml"])
def test_weights_alone_are_refused(recipe):
    with pytest.raises(RecipeError, match="which target 'orin' lacks; it has fp32, fp16, int8"):
        require_accepted(load_recipe(recipe), load_target("orin"))


def test_half_precision_needs_a_tolerance():
    recipe = load_recipe(RECIPE)
    tolerances = {name: t for name, t in recipe.validation.tolerances.items() if name != "fp16"}
    validation = recipe.validation.model_copy(update={"tolerances": tolerances})
    with pytest.raises(RecipeError, match=r"validation\.tolerances\.fp16 is refused.*missing"):
        require_accepted(recipe.model_copy(update={"validation": validation}), load_target("orin"))


def refusing(**refused):
    return load_target("cpu").model_copy(update={"precisions": ["fp32", "fp16", "int8"], "refused": refused})


def test_a_recipe_that_fits_is_taken():
    assert misfits(INT8, refusing()) == {}
    require_accepted(INT8, refusing())


def test_a_precision_is_refused_with_what_there_is_and_the_reason_where_one_is_known():
    recipe = load_recipe(RECIPES / "shape_e_int4.yaml")
    with pytest.raises(
        RecipeError, match=r"int4_weights, int8_weights, palette, which target 'cpu' lacks; it has fp32, fp16, int8$"
    ):
        require_accepted(recipe, refusing())
    with pytest.raises(RecipeError, match=r"it has fp32, fp16, int8 \(int4_weights: no kernel\)$"):
        require_accepted(recipe, refusing(int4_weights="no kernel"))


def test_a_setting_is_refused_with_the_reason():
    target = refusing(**{"sampler.unroll=loop": "runs a Loop one time too many; choose step"})
    require_accepted(INT8, target)
    looped = load_recipe(RECIPES / "shape_e_int8.yaml", ["sampler.unroll=loop"])
    assert misfits(looped, target) == {"sampler.unroll=loop": "runs a Loop one time too many; choose step"}
    with pytest.raises(RecipeError, match=r"sampler.unroll: loop is refused for target 'cpu': .*; choose step"):
        require_accepted(looped, target)
