from __future__ import annotations

import pytest

from exporter.accept import require_accepted
from exporter.errors import RecipeError
from exporter.recipe_file import load_recipe
from exporter.target import list_targets, load_target

RECIPE = "recipes/shape_e_int8.yaml"
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
    with pytest.raises(RecipeError, match=r"no validation\.tolerances\.fp16"):
        require_accepted(recipe.model_copy(update={"validation": validation}), load_target("orin"))
