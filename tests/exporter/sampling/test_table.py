from __future__ import annotations

import json

import diffusers
import numpy as np
import pytest
import torch

from exporter.errors import RecipeError
from exporter.sampling.levels import start
from exporter.sampling.schedulers import OF_DIFFUSION, make_scheduler, schedule_of
from exporter.sampling.table import TERMS, probe, trajectory_error
from tests.exporter.tiny import sampler


@pytest.fixture(scope="module")
def own():
    return diffusers.HeunDiscreteScheduler(
        beta_schedule="exp",
        num_train_timesteps=1024,
        prediction_type="sample",
        use_karras_sigmas=True,
        clip_sample=True,
        clip_sample_range=1.0,
    )


@pytest.mark.parametrize("clamp", ["diffusers", "openai"])
@pytest.mark.parametrize("steps", [1, 2, 8, 64])
@pytest.mark.parametrize("name", OF_DIFFUSION)
def test_table_equals_step_over_whole_trajectories(own, name, steps, clamp):
    scheduler = make_scheduler(name, own, clamp)
    table = probe(scheduler, steps, clamp)
    assert trajectory_error(table, scheduler, steps) <= 1e-6
    assert table.evaluations == (2 * steps - 1 if name == "heun" else steps)


@pytest.mark.parametrize("steps", [1, 2, 8, 64])
@pytest.mark.parametrize("name", OF_DIFFUSION)
def test_table_equals_step_in_float32(own, name, steps):
    """Step by step on the same inputs; errors are relative to the larger of a step's two samples."""
    scheduler = make_scheduler(name, own, "diffusers")
    table = probe(scheduler, steps)
    rng = np.random.default_rng(1)
    sample = torch.from_numpy(rng.standard_normal(4096).astype(np.float32)) * table.init_noise_sigma
    previous = (np.zeros(4096), np.zeros(4096))
    for i, timestep in enumerate(start(scheduler, steps)):
        scheduler.scale_model_input(sample, timestep)
        prediction = torch.from_numpy((1.5 * rng.standard_normal(4096)).astype(np.float32))
        expected = scheduler.step(prediction, timestep, sample).prev_sample
        actual = table.next_sample(i, sample.double().numpy(), prediction.double().numpy(), previous)
        scale = max(sample.norm().item(), expected.norm().item())
        assert np.linalg.norm(actual - expected.numpy()) <= 1e-6 * scale
        previous = (sample.double().numpy(), prediction.double().numpy())
        sample = expected


def test_terms_that_each_scheduler_needs(own):
    used = {
        name: {
            t
            for t, c in zip(
                TERMS, np.abs(probe(make_scheduler(name, own, "diffusers"), 8).coefficients).max(0), strict=True
            )
            if c > 1e-9
        }
        for name in OF_DIFFUSION
    }
    assert used["heun"] == {"sample", "clipped_prediction", "previous_sample", "previous_prediction"}
    assert used["euler"] == {"sample", "prediction"}
    assert used["ddim"] == {"sample", "prediction", "clipped_prediction"}
    assert used["dpmpp_2m"] == {"sample", "prediction", "previous_prediction"}


def test_openai_order_clamps_before_the_scheduler_does(own):
    assert probe(make_scheduler("heun", own, "openai"), 16, "openai").clip is None


@pytest.mark.parametrize("spacing", ["karras", "exponential"])
@pytest.mark.parametrize("name", ["heun", "euler", "dpmpp_2m"])
def test_a_schedule_begins_where_it_is_told_and_is_a_table_too(own, name, spacing):
    scheduler = schedule_of(sampler(scheduler=name, spacing=spacing, highest_noise=30.0), own)
    table = probe(scheduler, 6)
    assert trajectory_error(table, scheduler, 6) <= 1e-6
    levels = table.noise_levels[:: 2 if name == "heun" else 1]
    assert levels[0] == pytest.approx(30.0, rel=0.01) and levels[-1] == pytest.approx(0.1086, rel=0.01)
    ratios = levels[1:] / levels[:-1]
    assert np.allclose(ratios, ratios[0], rtol=0.1) == (spacing == "exponential")
    assert table.init_noise_sigma == pytest.approx(1.0 if name == "dpmpp_2m" else 30.0)


@pytest.mark.parametrize("spacing", ["karras", "exponential"])
@pytest.mark.parametrize("name", ["heun", "euler", "dpmpp_2m"])
def test_a_schedule_beyond_the_trained_levels_is_a_table_too(own, name, spacing):
    scheduler = schedule_of(sampler(scheduler=name, spacing=spacing, lowest_noise=1e-3, highest_noise=1000.0), own)
    table = probe(scheduler, 16)
    assert trajectory_error(table, scheduler, 16) <= 1e-6
    assert table.noise_levels[0] == pytest.approx(1000) and table.noise_levels[-1] == pytest.approx(1e-3)
    assert (table.timesteps[0], table.timesteps[-1]) == (1023, 0)


def test_table_goes_to_json(own):
    table = probe(make_scheduler("ddim", own, "diffusers"), 4)
    data = json.loads(table.to_json())
    assert np.array_equal(np.array(data["coefficients"]), table.coefficients)
    assert data["clip"] == 1.0


@pytest.mark.parametrize("name", ["euler_ancestral", "ddpm", "thresholding", "hoin"])
def test_unsupported_names_are_refused_by_name(own, name):
    with pytest.raises(RecipeError, match=rf"{name}.*heun"):
        make_scheduler(name, own, "diffusers")


def test_a_stochastic_scheduler_is_refused_by_its_class(own):
    scheduler = diffusers.EulerAncestralDiscreteScheduler(
        num_train_timesteps=1024, trained_betas=own.betas.tolist(), prediction_type="epsilon"
    )
    with pytest.raises(RecipeError, match="EulerAncestralDiscreteScheduler is stochastic"):
        probe(scheduler, 8)


def test_thresholding_is_refused_by_its_class(own):
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=1024,
        trained_betas=own.betas.tolist(),
        prediction_type="sample",
        clip_sample=False,
        thresholding=True,
    )
    with pytest.raises(RecipeError, match="DDIMScheduler with thresholding is adaptive"):
        probe(scheduler, 8)


def test_an_update_that_is_not_linear_is_refused_by_its_class(own):
    class Bent(diffusers.DDIMScheduler):
        def step(self, prediction, timestep, sample):
            return super().step(prediction + 1e-4 * prediction**2, timestep, sample)

    scheduler = Bent(num_train_timesteps=1024, trained_betas=own.betas.tolist(), prediction_type="sample")
    with pytest.raises(RecipeError, match="Bent at 8 steps is not linear"):
        probe(scheduler, 8)


def test_another_way_to_x0_than_the_factors_is_refused(own):
    """It would make step and original differ: the scheduler says noise and takes the velocity for it."""

    class Wrong(diffusers.DDIMScheduler):
        def step(self, prediction, timestep, sample):
            return super().step(
                prediction if self.config.prediction_type == "sample" else -prediction, timestep, sample
            )

    scheduler = Wrong(num_train_timesteps=1024, beta_schedule="scaled_linear", clip_sample=False)
    with pytest.raises(RecipeError, match="Wrong at 8 steps is not linear"):
        probe(scheduler, 8)
