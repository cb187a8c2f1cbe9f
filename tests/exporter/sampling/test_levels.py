from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import RecipeError
from exporter.sampling.levels import noise_levels, start, timesteps_for_model, trained_levels
from exporter.sampling.schedulers import make_scheduler, schedule_of
from tests.exporter.tiny import sampler


def started(own, steps=16, **changes):
    settings = sampler(steps=steps, **changes)
    scheduler = schedule_of(settings, own)
    start(scheduler, steps)
    return scheduler


@settings(max_examples=20)
@given(st.sampled_from(["heun", "euler", "ddim", "dpmpp_2m"]), st.integers(2, 40))
def test_noise_levels_fall_from_the_highest_trained_to_the_lowest(tiny, name, steps):
    scheduler = make_scheduler(name, tiny.scheduler("denoiser"), "diffusers")
    start(scheduler, steps)
    levels = noise_levels(scheduler)
    assert len(levels) == len(scheduler.timesteps)
    assert (np.diff(levels) <= 0).all() and 300 < levels[0] < 410 and levels[-1] > 0.1


def test_noise_levels_are_those_of_the_sample_and_not_of_the_timestep_at_the_end(tiny):
    levels = noise_levels(started(tiny.scheduler("denoiser"), lowest_noise=1e-3, highest_noise=1000.0))
    ramp = (1000 ** (1 / 7) + np.linspace(0, 1, 16) * (1e-3 ** (1 / 7) - 1000 ** (1 / 7))) ** 7
    assert np.allclose(levels[::2], ramp[[0, *range(1, 16)]], rtol=1e-5)


@pytest.mark.parametrize("name", ["heun", "euler", "dpmpp_2m"])
@pytest.mark.parametrize("clamp", ["diffusers", "openai"])
def test_beyond_the_trained_levels_the_timestep_is_held(tiny, name, clamp):
    scheduler = started(
        tiny.scheduler("denoiser"), scheduler=name, clamp=clamp, lowest_noise=1e-3, highest_noise=1000.0
    )
    levels, timesteps = noise_levels(scheduler), timesteps_for_model(scheduler, clamp).numpy()
    lowest, highest = trained_levels(scheduler)[[0, -1]]
    assert 0 < (levels < lowest).sum() < len(levels) and 0 < (levels > highest).sum() < len(levels)
    assert set(timesteps[levels < lowest]) == {0} and set(timesteps[levels > highest]) == {1023}
    assert (timesteps[(levels > lowest * 1.1) & (levels < highest / 1.1)] % 1023 > 0).all()


def test_diffusers_order_leaves_the_timesteps_as_they_are(tiny):
    scheduler = started(tiny.scheduler("denoiser"))
    assert timesteps_for_model(scheduler, "diffusers").tolist() == scheduler.timesteps.tolist()
    assert timesteps_for_model(scheduler, "openai").tolist() != scheduler.timesteps.tolist()


def test_openai_order_leaves_the_integers_of_ddim(tiny):
    scheduler = started(tiny.scheduler("denoiser"), scheduler="ddim", clamp="openai")
    assert timesteps_for_model(scheduler, "openai").tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        (
            {"highest_noise": 0.05},
            r"highest_noise: .* level 0\.05 and end at 0\.109; .* give sampler.lowest_noise",
        ),
        (
            {"lowest_noise": 500.0},
            r"lowest_noise: .* level 403 and end at 500; .* give sampler.highest_noise",
        ),
    ],
)
def test_a_schedule_that_would_rise_is_refused(tiny, bounds, told):
    with pytest.raises(RecipeError, match=told):
        schedule_of(sampler(**bounds), tiny.scheduler("denoiser"))
