"""A recipe says what its pipeline needs and nothing else; every refusal names a field and its line."""

from __future__ import annotations

import pytest

from exporter.errors import RecipeError
from exporter.families import shap_e
from exporter.recipe.fit import SECTIONS, TOLERANCES, Misfit, fitted_data, parts_of, require_fit
from exporter.recipe.recipe import Recipe
from exporter.recipe.validation_section import Tolerances
from t3export.options import checked_recipe
from tests.exporter.rays_family import RECIPE, LightFields
from tests.exporter.tiny import tiny_recipe

RAYS = parts_of(LightFields("x").pipeline(Recipe.model_validate(RECIPE)))


def test_what_shap_e_is_known_to_have_is_what_its_pipeline_has(tiny):
    assert parts_of(tiny.pipeline(tiny_recipe())) == set(shap_e.PARTS)


def test_every_tolerance_belongs_to_something():
    assert {*TOLERANCES, "stage_snr_db"} == set(Tolerances.model_fields)


def test_a_whole_recipe_fits_and_loses_nothing(tiny):
    recipe = tiny_recipe()
    require_fit(recipe, shap_e.PARTS)
    assert fitted_data(recipe, tiny.pipeline(recipe)) == recipe.data()


def test_a_renderer_alone_needs_little_and_its_recipe_can_be_read_again():
    recipe = Recipe.model_validate(RECIPE)
    require_fit(recipe, RAYS)
    data = fitted_data(recipe, LightFields("x").pipeline(recipe))
    assert set(SECTIONS).intersection(data) == {"render"}
    require_fit(Recipe.model_validate(data), RAYS)


def test_all_that_does_not_fit_is_told_at_once():
    recipe = tiny_recipe()
    may_fork = recipe.validation.tolerances["fp32"].model_copy(update={"latents_forks": 0.5})
    validation = recipe.validation.model_copy(update={"tolerances": {"fp32": may_fork}})
    with pytest.raises(Misfit) as caught:
        require_fit(recipe.model_copy(update={"validation": validation}), RAYS)
    fields = [".".join(map(str, location)) for location, _ in caught.value.fields]
    tolerances = [f"validation.tolerances.fp32.{name}" for name, parts in TOLERANCES.items() if not RAYS & {*parts}]
    assert fields == ["sampler", "goldens.prompts", *tolerances]


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        ("sampler: {scheduler: ddim, steps: 2, guidance_scale: 1.0}\n", ":1: sampler: this field is required"),
        ("goldens: {prompts: [a chair]}\n", ":3: goldens.prompts: this field is required"),
        (", chamfer: 1.0", ":5: validation.tolerances.fp32.chamfer: this field is required"),
    ],
    ids=["sampler", "prompts", "tolerance"],
)
def test_what_is_missing_is_told_with_the_line_where_it_belongs(tmp_path, left_out, told):
    path = tmp_path / "mine.yaml"
    text = (
        "name: mine\nmodel: {family: shap-e, weights: shap-e-mini}\n"
        "goldens: {prompts: [a chair]}\nquantization: {rules: []}\n"
        "validation: {tolerances: {fp32: {stage_snr_db: 9.0, trajectory_snr_db: 9.0, latents_relative_l2: 0.1, "
        "mesh_iou: 0.9, chamfer: 1.0, render_psnr_db: 9.0}}}\n"
        "sampler: {scheduler: ddim, steps: 2, guidance_scale: 1.0}\n"
    )
    path.write_text(text)
    checked_recipe(path, (), None)
    path.write_text(text.replace(left_out, "goldens: {}\n" if left_out.startswith("goldens") else ""))
    with pytest.raises(RecipeError, match=rf"mine\.yaml{told}"):
        checked_recipe(path, (), None)
