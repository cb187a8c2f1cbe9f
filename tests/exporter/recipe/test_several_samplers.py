"""`samplers` beside `sampler`: what is sampled otherwise, stage by stage, every refusal with its field and line."""

from __future__ import annotations

import pytest

from exporter.errors import RecipeError
from exporter.recipe.fit import Misfit, require_fit
from exporter.recipe.recipe import Recipe
from exporter.recipe.recipe_file import load_recipe, read_recipe
from tests.exporter.tiny import sampler
from validate.objects.reference import as_compared
from validate.tune.tune import with_sampler

SHARED = "sampler: {scheduler: heun, steps: 64, guidance_scale: 3.0, clamp: openai}\n"
REST = """
model: {family: any, weights: none}
quantization: {rules: []}
goldens: {prompts: [a chair]}
validation: {tolerances: {fp32: {stage_snr_db: 9.0, trajectory_snr_db: 9.0, latents_relative_l2: 0.1}}}
"""
STAGES = ("coarse", "dense")


def written(tmp_path, text, name="mine"):
    path = tmp_path / f"{name}.yaml"
    path.write_text(f"name: {name}\n{text}")
    return path


@pytest.fixture
def both(tmp_path):
    """A shared sampler, and a stage that differs from it."""
    text = (
        f"{SHARED}samplers:\n  dense:\n    steps: 16\n    guidance_scale: 1.0\n  coarse: {{churn: {{s_churn: 3.0}}}}\n"
    )
    return written(tmp_path, text + REST)


def test_a_stages_own_fields_override_those_of_all(both):
    recipe = load_recipe(both)
    dense, coarse, other = (recipe.sampler_of(stage) for stage in ("dense", "coarse", "third"))
    assert dense == recipe.sampler.model_copy(update={"steps": 16, "guidance_scale": 1.0})
    assert coarse.churn.s_churn == 3.0 and coarse.steps == 64
    assert other == recipe.sampler


def test_a_resolved_recipe_reads_as_itself(both):
    recipe = load_recipe(both)
    assert recipe.data()["samplers"]["dense"]["clamp"] == "openai"
    assert Recipe.model_validate(recipe.data()) == recipe


def test_a_child_and_an_override_reach_into_them(both, tmp_path):
    child = written(
        tmp_path, "extends: mine.yaml\nsampler: {steps: 32}\nsamplers: {dense: {clamp: diffusers}}\n", "child"
    )
    recipe = load_recipe(child, ["samplers.coarse.guidance_scale=2.0"])
    dense, coarse = recipe.sampler_of("dense"), recipe.sampler_of("coarse")
    assert (dense.steps, dense.clamp, dense.guidance_scale) == (16, "diffusers", 1.0)
    assert (coarse.steps, coarse.guidance_scale) == (32, 2.0)


def test_a_published_sampling_may_be_a_stages(both):
    dense = load_recipe(both, ["samplers.dense.as=openai"]).sampler_of("dense")
    assert (dense.steps, dense.highest_noise, dense.guidance_scale) == (64, 160.0, 1.0)
    named = load_recipe(both, ["samplers={dense: {as: openai, steps: 5}}"]).sampler_of("dense")
    assert (named.steps, named.lowest_noise) == (5, 1e-3)


def test_without_a_shared_one_each_is_whole(tmp_path):
    stages = "samplers:\n  coarse: {scheduler: ddim, steps: 3, guidance_scale: 1.0}\n  dense: {steps: 3}\n"
    path = written(tmp_path, stages + REST)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    lines = str(caught.value).splitlines()
    assert {line.partition(" (")[0].removeprefix(str(path)) for line in lines} == {
        ":4: samplers.dense.scheduler: this field is required",
        ":4: samplers.dense.guidance_scale: this field is required",
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("    stepps: 3", ":5: samplers.dense.stepps: unknown field; allowed: churn, clamp"),
        ("    steps: many", ":5: samplers.dense.steps: found 'many'"),
        ("    as: openia", ":5: samplers.dense.as: found 'openia'"),
        ("    churn: {s_churn: 3.0, s_tmax: 0}", ":5: samplers.dense.churn.s_tmax: found 0"),
        ("    scheduler: ddim\n    highest_noise: 3.0", ":4: samplers.dense: ddim's steps are even in time"),
    ],
)
def test_what_is_wrong_in_one_is_told_at_its_line(tmp_path, line, told):
    path = written(tmp_path, f"{SHARED}samplers:\n  dense:\n{line}\n{REST}")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert f"{path}{told}" in str(caught.value)


@pytest.mark.parametrize("value", ["[dense]", "{dense: 3}", "3"])
def test_what_is_no_section_is_refused(both, value):
    with pytest.raises(RecipeError, match="samplers"):
        load_recipe(both, [f"samplers={value}"])


def test_a_stage_that_does_not_sample_is_refused_at_its_line(both):
    recipe = load_recipe(both, ["validation.samplers={dens: {steps: 3}}"])
    with pytest.raises(Misfit) as caught:
        require_fit(recipe, ["sample", "inputs"], ["base", "dense"])
    told = str(caught.value.placed(read_recipe(both)))
    assert f"{both}:7: samplers.coarse: no stage of that name samples" in told
    assert (
        "validation.samplers.dens: no stage of that name samples; allowed: base, dense; did you mean 'dense'?" in told
    )


def test_a_stage_without_a_sampler_is_missed(tmp_path):
    stages = "samplers: {coarse: {scheduler: ddim, steps: 3, guidance_scale: 1.0}}\n"
    recipe = load_recipe(written(tmp_path, stages + REST))
    require_fit(recipe, ["sample", "inputs"], ["coarse"])
    with pytest.raises(Misfit, match="sampler: this field is required"):
        require_fit(recipe, ["sample", "inputs"], STAGES)
    with pytest.raises(Misfit, match="samplers: no stage of this pipeline samples"):
        require_fit(recipe, ["inputs"])


def test_the_reference_differs_where_its_own_are_given(both):
    recipe = load_recipe(both, ["validation.samplers={dense: {steps: 48}}"])
    reference = as_compared(recipe)
    assert reference.sampler_of("dense") == recipe.sampler_of("dense").model_copy(update={"steps": 48})
    assert reference.sampler_of("coarse") == recipe.sampler_of("coarse")
    of_all = as_compared(load_recipe(both, ["validation.sampler={scheduler: ddim, steps: 9, guidance_scale: 2.0}"]))
    assert all(of_all.sampler_of(stage).steps == 9 for stage in STAGES)


def test_a_tuned_sampler_stands_where_the_recipes_own_does(tmp_path):
    stages = "samplers: {dense: {scheduler: heun, steps: 8, guidance_scale: 2.0}}\n"
    recipe = load_recipe(written(tmp_path, stages + REST))
    fewer = sampler(scheduler="euler", steps=2)
    tuned = with_sampler(recipe, fewer)
    assert tuned.sampler is None and tuned.sampler_of("dense") == fewer
    assert as_compared(tuned).sampler_of("dense") == recipe.sampler_of("dense")
    assert as_compared(with_sampler(tuned, recipe.sampler_of("dense"))) == as_compared(recipe).model_copy(
        update={"validation": tuned.validation}
    )


def test_a_tuned_sampler_of_one_stage_leaves_the_others(both):
    recipe = load_recipe(both)
    fewer = recipe.sampler_of("dense").model_copy(update={"steps": 2})
    tuned = with_sampler(recipe, fewer, "dense")
    assert tuned.sampler_of("dense") == fewer and tuned.sampler_of("coarse") == recipe.sampler_of("coarse")
    for stage in STAGES:
        assert as_compared(tuned).sampler_of(stage) == recipe.sampler_of(stage)


def test_a_change_of_all_reaches_every_stage(both):
    recipe = load_recipe(both).with_samplers(lambda one: one.model_copy(update={"unroll": "loop"}))
    assert {recipe.sampler_of(stage).unroll for stage in (*STAGES, "third")} == {"loop"}
