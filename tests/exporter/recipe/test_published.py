"""`sampler: {as: openai}`: a published sampling in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import RecipeError
from exporter.recipe.recipe_file import load_recipe

BASE = "recipes/shape_e_fast.yaml"
PUBLISHED = {
    "scheduler": "heun",
    "steps": 64,
    "spacing": "karras",
    "highest_noise": 160.0,
    "lowest_noise": 0.001,
    "guidance_interval": None,
    "churn": None,
    "clamp": "openai",
}


def extension(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"extends: {Path(BASE).resolve()}\n{text}\n")
    return path


def sampler_of(recipe):
    return recipe.sampler.model_dump()


def test_it_replaces_the_sampler_that_is_extended_and_leaves_its_guidance(tmp_path):
    before = sampler_of(load_recipe(BASE))
    after = sampler_of(load_recipe(extension(tmp_path, "sampler: {as: openai}")))
    assert {name: after[name] for name in PUBLISHED} == PUBLISHED
    assert any(before[name] != after[name] for name in PUBLISHED)
    assert {name for name in after if name not in PUBLISHED} == {"guidance_scale", "unroll", "conditions"}
    assert all(after[name] == before[name] for name in ("guidance_scale", "unroll", "conditions"))


def test_what_is_written_beside_it_holds(tmp_path):
    found = sampler_of(load_recipe(extension(tmp_path, "sampler: {steps: 20, as: openai, guidance_scale: 15}")))
    assert found == PUBLISHED | {"steps": 20, "guidance_scale": 15.0, "unroll": "step", "conditions": {}}


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (["sampler.as=openai"], {}),
        (["sampler.as=openai", "sampler.steps=8"], {"steps": 8}),
        (["sampler.steps=8", "sampler.as=openai"], {}),
        (["sampler={as: openai, steps: 8, guidance_scale: 3.0}"], {"steps": 8}),
    ],
)
def test_an_override_names_it_too(overrides, changed):
    found = sampler_of(load_recipe(BASE, overrides))
    assert {name: found[name] for name in PUBLISHED} == PUBLISHED | changed


def test_the_sampler_that_quality_is_compared_with_may_name_it():
    recipe = load_recipe(BASE, ["validation.sampler={as: openai, guidance_scale: 3.0}"])
    assert recipe.validation.sampler == recipe.sampler.model_copy(
        update=PUBLISHED | {"guidance_scale": 3.0, "unroll": "step"}
    )


def test_an_unknown_name_is_told_with_its_line(tmp_path):
    path = extension(tmp_path, "name: mine\nsampler:\n  as: openia")
    with pytest.raises(RecipeError, match=r"recipe\.yaml:4: sampler\.as: found 'openia'.*'openai'"):
        load_recipe(path)
    with pytest.raises(RecipeError, match=r"--set sampler\.as=3: found 3; allowed: openai"):
        load_recipe(BASE, ["sampler.as=3"])


def test_levels_that_would_rise_are_refused(tmp_path):
    path = extension(tmp_path, "sampler: {as: openai, highest_noise: 0.0001}")
    with pytest.raises(RecipeError, match=r"sampler: lowest_noise 0\.001 is not below highest_noise 0\.0001"):
        load_recipe(path)
