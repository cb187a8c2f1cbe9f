"""Flow matching: the table, the step and the original against diffusers' scheduler and against the formulas."""

from __future__ import annotations

import json

import diffusers
import numpy as np
import pytest
import torch

from exporter.errors import RecipeError
from exporter.recipe.recipe_file import load_recipe
from exporter.sampling.schedulers import OF_DIFFUSION, make_scheduler, schedule_of
from exporter.sampling.table import probe, trajectory_error
from exporter.workshop.parity import compare
from tests.exporter.sampling.small_network import SmallDenoiser, both_sides
from tests.exporter.sampling.test_samplers import in_torch, run_steps
from tests.exporter.tiny import sampler

STEPS, GUIDANCE = 10, 3.0


def flow(**config):
    return diffusers.FlowMatchEulerDiscreteScheduler(**{"shift": 3.0} | config)


def settings_of(**changes):
    return sampler(**{"scheduler": "flow_euler", "steps": STEPS, "guidance_scale": GUIDANCE} | changes)


@pytest.fixture(scope="module")
def network():
    return SmallDenoiser().eval()


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(1)
    return rng.standard_normal((2, 5)).astype(np.float32), rng.standard_normal((2, 4, 6)).astype(np.float32)


@torch.inference_mode()
def flow_loop(network, scheduler, embedding, unit, clamp):
    """Euler's method on diffusers' sigmas; with `clamp`, each branch's x0 is clamped before they are mixed."""
    scheduler.set_timesteps(STEPS)
    condition, x = torch.from_numpy(embedding), torch.from_numpy(unit).double()
    for i, timestep in enumerate(scheduler.timesteps):
        sigma, following = scheduler.sigmas[i].double(), scheduler.sigmas[i + 1].double()

        def velocity(condition, x=x, sigma=sigma, timestep=timestep):
            raw = network.predict(x.float(), timestep, condition).double()
            return (x - (x - sigma * raw).clamp(-1, 1)) / sigma if clamp else raw

        conditional, unconditional = velocity(condition), velocity(torch.zeros_like(condition))
        x = x + (following - sigma) * (unconditional + GUIDANCE * (conditional - unconditional))
    return x.numpy()


@pytest.mark.parametrize("clamp", ["diffusers", "openai"])
@pytest.mark.parametrize("config", [{}, {"shift": 1.0}, {"shift_terminal": 0.1}, {"use_karras_sigmas": True}])
def test_step_and_original_are_eulers_method(network, given, config, clamp):
    embedding, unit = given
    expected = flow_loop(network, flow(**config), embedding, unit, clamp == "openai")
    step, table, original = both_sides(network, flow(**config), settings_of(clamp=clamp))
    assert table.init_noise_sigma == 1.0 and table.evaluations == STEPS
    assert compare(expected, original.sample([embedding], unit)).relative_l2 < 1e-5
    assert compare(expected, run_steps(in_torch(step), table, unit, embedding)).relative_l2 < 1e-5


def test_the_reported_prediction_is_x0(network, given):
    """The last step of Euler's method ends at it."""
    embedding, unit = given
    seen = []
    original = both_sides(network, flow(), settings_of())[2]
    latents = original.sample([embedding], unit, lambda i, sample, prediction: seen.append(prediction))
    assert compare(latents, seen[-1]).relative_l2 < 1e-5


@pytest.mark.parametrize("steps", [1, 2, 8, 64])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_table_equals_diffusers_own_steps(steps, shift):
    scheduler = schedule_of(settings_of(steps=steps), flow(shift=shift))
    table = probe(scheduler, steps)
    assert trajectory_error(table, scheduler, steps) <= 1e-6


def test_levels_and_timesteps_follow_the_shift():
    table = probe(schedule_of(settings_of(), flow(shift=3.0, num_train_timesteps=1000)), STEPS)
    # diffusers shifts the lowest sigma, 1/1000, when it is made, and every sigma when the steps are set.
    even = np.linspace(1.0, 0.003 / 1.002, STEPS)
    sigmas = 3 * even / (1 + 2 * even)
    assert np.allclose(table.timesteps, 1000 * sigmas, rtol=1e-5)
    assert np.allclose(table.noise_levels[1:], sigmas[1:] / (1 - sigmas[1:]), rtol=1e-4)
    assert np.isfinite(table.noise_levels).all() and table.noise_levels[0] > 1e9
    assert "Infinity" not in table.to_json() and json.loads(table.to_json())["x0"][0] == [1.0, -1.0]


@pytest.mark.parametrize("name", OF_DIFFUSION)
def test_a_flow_takes_flow_euler_alone(name):
    with pytest.raises(RecipeError, match=rf"scheduler: found '{name}'; .* by flow matching .* takes flow_euler"):
        make_scheduler(name, flow(), "diffusers")


def test_a_diffusion_does_not_take_it(tiny):
    with pytest.raises(RecipeError, match=r"scheduler: found 'flow_euler'; .* by diffusion .* takes heun, euler"):
        make_scheduler("flow_euler", tiny.scheduler("denoiser"), "diffusers")


@pytest.mark.parametrize("setting", ["use_dynamic_shifting", "invert_sigmas"])
def test_sigmas_that_hang_on_more_than_the_steps_are_refused(setting):
    with pytest.raises(RecipeError, match=rf"model\.weights: .*{setting}"):
        make_scheduler("flow_euler", flow(**{setting: True}), "diffusers")


def test_stochastic_sampling_is_refused():
    with pytest.raises(RecipeError, match="is stochastic"):
        probe(make_scheduler("flow_euler", flow(stochastic_sampling=True), "diffusers"), 4)


@pytest.mark.parametrize("setting", ["spacing=exponential", "highest_noise=40.0", "lowest_noise=0.01"])
def test_the_levels_are_the_models_own(setting):
    with pytest.raises(RecipeError, match=r"sampler: flow_euler's steps are the model's own; .*heun"):
        load_recipe("recipes/shape_e_fp32.yaml", ["sampler.scheduler=flow_euler", f"sampler.{setting}"])
