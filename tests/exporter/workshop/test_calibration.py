from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from exporter.errors import RecipeError
from exporter.recipe.quantization_section import CalibrationSection
from exporter.recipe.recipe import Recipe
from exporter.runtime.run import make
from exporter.sampling.table import table_of
from exporter.workshop.calibration import ENCODED_PROMPTS, PROMPTS, choose_prompts, record
from tests.exporter.ball_family import RECIPE, Balls
from tests.exporter.tiny import pure_module, sampler, tiny_recipe

OWN = ["a red chair", "a blue mug", "a tall table"]


def recipe_of(**changes):
    return tiny_recipe(**{"steps": 12} | changes)


def settings_of(**changes):
    return CalibrationSection(**{"prompts": OWN, "steps": 3, "evaluations": 3, "batch": 8, "seed": 5} | changes)


def calibrated(recipe, settings):
    quantization = recipe.quantization.model_copy(update={"calibration": settings})
    return recipe.model_copy(update={"quantization": quantization})


def recorded(model, folder, recipe=None, **settings):
    """The shards of each stage, in order; and what was reported on the way."""
    told = []
    folder.mkdir(exist_ok=True)
    record(model, calibrated(recipe or recipe_of(), settings_of(**settings)), folder, lambda *now: told.append(now))
    shards = {}
    for path in sorted(folder.iterdir()):
        with np.load(path, allow_pickle=False) as file:
            shards.setdefault(path.name.rpartition("_")[0], []).append(dict(file))
    return shards, told


def sampled_by_the_original(tiny, recipe, on_step):
    """The latents that the original makes of the same prompts, each from the noise of its own seed."""
    requests = [{"prompt": prompt} for prompt in OWN]
    return make(tiny.original(recipe), requests, [5, 6, 7], on_step)["latents"]


def test_shards_hold_the_inputs_of_their_stage(tiny, tmp_path):
    shards, told = recorded(tiny, tmp_path, batch=2)
    stages = tiny.pipeline(recipe_of()).stages
    assert {name: len(found) for name, found in shards.items()} == {"text_encoder": 2, "denoiser": 6, "projector": 2}
    for name in ("text_encoder", "projector"):
        for shard, prompts in zip(shards[name], (OWN[:2], OWN[2:]), strict=True):
            assert list(shard["prompts"]) == prompts
            for spec in stages[name].inputs:
                assert shard[spec.name].dtype == spec.dtype
                assert shard[spec.name].shape == (len(prompts), *spec.shape[1:])
    for shard, prompts in zip(shards["denoiser"], 3 * [OWN[:2]] + 3 * [OWN[2:]], strict=True):
        assert list(shard["prompts"]) == prompts
        assert shard["step"].shape == () and shard["step"].dtype == np.int64
        assert shard["sample"].shape == (len(prompts), 64, 20)
        assert shard["embedding"].shape == (len(prompts), 24)
    assert told == [(i + 1, 6) for i in range(6)], "2 batches of 3 evaluations"


@pytest.mark.parametrize("scheduler", ["heun", "ddim", "dpmpp_2m"])
def test_the_program_sees_what_the_original_saw(tiny, tmp_path, scheduler):
    """Where the recipe is as short as the calibration, the step program gives the original's own predictions."""
    recipe = recipe_of(scheduler=scheduler, steps=3)
    shards, _ = recorded(tiny, tmp_path, recipe, steps=8, evaluations=100)
    expected = []
    latents = sampled_by_the_original(tiny, recipe, lambda i, sample, prediction: expected.append(prediction))
    step = pure_module(tiny, "denoiser", recipe)
    assert len(shards["denoiser"]) == len(expected)
    for shard, prediction in zip(shards["denoiser"], expected, strict=True):
        with torch.inference_mode():
            _, found = step.module(*(torch.from_numpy(shard[spec.name]) for spec in step.inputs))
        assert np.abs(found.numpy() - prediction).max() <= 1e-4 * np.abs(prediction).max()
    np.testing.assert_allclose(shards["projector"][0]["latents"], latents, atol=1e-5)


@pytest.mark.parametrize("scheduler", ["heun", "euler", "ddim", "dpmpp_2m"])
def test_a_short_trajectory_is_put_into_the_recipes_table(tiny, tmp_path, scheduler):
    recipe = recipe_of(scheduler=scheduler)
    shards, _ = recorded(tiny, tmp_path, recipe, steps=4, evaluations=100)
    short, samples = sampler(scheduler="euler", steps=4), []
    own, table = (table_of(settings, tiny.scheduler("denoiser")) for settings in (short, recipe.sampler))
    sampled_by_the_original(
        tiny, recipe.model_copy(update={"sampler": short}), lambda i, sample, prediction: samples.append(sample)
    )
    for i, (shard, sample) in enumerate(zip(shards["denoiser"], samples, strict=True)):
        row = int(shard["step"])
        np.testing.assert_allclose(
            shard["sample"] * table.input_scale[row], sample * own.input_scale[i], rtol=1e-4, atol=1e-5
        )
        distances = np.abs(table.timesteps - own.timesteps[i])
        assert distances[row] == distances.min()
        assert not shard["previous_sample"].any() and not shard["previous_prediction"].any()


@pytest.mark.parametrize("evaluations", [2, 5, 8])
def test_kept_evaluations_are_spread_over_all_noise_levels(tiny, tmp_path, evaluations):
    shards, _ = recorded(tiny, tmp_path, recipe_of(scheduler="dpmpp_2m", steps=40), steps=8, evaluations=evaluations)
    rows = [int(shard["step"]) for shard in shards["denoiser"]]
    assert len(rows) == evaluations
    assert rows[0] == 0 and rows[-1] == 39
    assert np.diff(rows).max() <= 2 * np.diff(rows).min()


def test_the_batch_changes_no_prompts_inputs(tiny, tmp_path):
    together, _ = recorded(tiny, tmp_path / "together")
    alone, _ = recorded(tiny, tmp_path / "alone", batch=1)
    latents = np.concatenate([shard["latents"] for shard in alone["projector"]])
    np.testing.assert_allclose(latents, together["projector"][0]["latents"], atol=1e-4)
    assert [len(alone[name]) for name in ("text_encoder", "denoiser", "projector")] == [3, 9, 3]


def test_large_latents_go_one_by_one(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("exporter.runtime.batch.NUMBERS_AT_ONCE", 64 * 20)
    shards, _ = recorded(tiny, tmp_path, batch=8)
    assert [len(shard["prompts"]) for shard in shards["projector"]] == [1, 1, 1]


def test_the_same_seed_gives_the_same_bytes(tiny, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        recorded(tiny, tmp_path / name, seed=seed)
    first, second, other = (
        [path.read_bytes() for path in sorted((tmp_path / name).glob("denoiser_*"))] for name in ("a", "b", "c")
    )
    assert first == second and first != other


def test_a_model_without_a_projector_has_no_shards_of_it(tmp_path):
    shards, _ = recorded(Balls("made-of-rubber"), tmp_path, Recipe.model_validate(RECIPE))
    assert shards.keys() == {"text_encoder", "denoiser"}


def test_one_prompt_is_warned_of(tiny, tmp_path):
    with pytest.warns(UserWarning, match=r"calibration on one prompt.*quantization\.calibration\.prompts"):
        recorded(tiny, tmp_path, prompts=OWN[:1], steps=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        recorded(tiny, tmp_path, prompts=OWN[:2], steps=1)


@pytest.mark.parametrize("count", [1, 4, 32, 100])
def test_shipped_prompts_come_from_the_end_of_the_set(count):
    shipped = json.loads(PROMPTS.read_text(encoding="utf-8"))
    texts = {kind: [entry["text"] for entry in shipped[kind]] for kind in shipped}
    chosen = choose_prompts(settings_of(prompts=count))
    assert len(chosen) == len(set(chosen)) == count
    full, under = (set(chosen) & set(texts[kind]) for kind in ("full", "under_specified"))
    assert len(under) == count // 4 and len(full) == count - count // 4
    assert not full & set(texts["full"][:600]), "validation scores these"
    assert not under & set(texts["under_specified"][:100])


def test_the_draw_follows_the_seed():
    first, second, other = (choose_prompts(settings_of(prompts=16, seed=seed)) for seed in (1, 1, 2))
    assert first == second != other


def test_own_prompts_stay_in_their_order():
    assert choose_prompts(settings_of(prompts=OWN)) == OWN


def test_too_many_prompts_are_refused():
    with pytest.raises(
        RecipeError, match=r"quantization\.calibration\.prompts: 500 needs 375 full prompts, and 210 are"
    ):
        choose_prompts(settings_of(prompts=500))


def test_the_text_encoder_sees_more_of_the_shipped_prompts_than_there_are_trajectories(tiny, tmp_path):
    shards, _ = recorded(tiny, tmp_path, prompts=2, steps=1)
    texts = [prompt for shard in shards["text_encoder"] for prompt in shard["prompts"]]
    trajectories = [prompt for shard in shards["projector"] for prompt in shard["prompts"]]
    assert len(trajectories) == 2 and texts[:2] == trajectories and len(set(texts)) == len(texts) >= ENCODED_PROMPTS


def test_a_flows_trajectories_are_its_own_euler(tiny, tmp_path, monkeypatch):
    """Where calibration takes fewer steps than the recipe."""
    monkeypatch.setattr(type(tiny), "scheduler", lambda self, stage: FlowMatchEulerDiscreteScheduler(shift=3.0))
    shards, _ = recorded(tiny, tmp_path, recipe_of(scheduler="flow_euler"), steps=4, evaluations=100)
    assert len(shards["denoiser"]) == 4
    assert [int(shard["step"]) for shard in shards["denoiser"]] == [0, 4, 7, 11]
