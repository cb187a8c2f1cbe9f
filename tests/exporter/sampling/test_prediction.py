"""Networks that predict noise or velocity: against diffusers' own schedulers, and against OpenAI's order."""

from __future__ import annotations

import diffusers
import numpy as np
import onnxruntime as ort
import pytest
import torch

from exporter.errors import RecipeError
from exporter.pipeline.tensor import TensorSpec
from exporter.sampling.prediction import to_x0, x0_factors
from exporter.sampling.schedulers import make_scheduler
from exporter.sampling.step import step_module
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from tests.exporter.sampling.small_network import SmallDenoiser, both_sides
from tests.exporter.sampling.test_samplers import in_torch, run_steps
from tests.exporter.tiny import sampler

KINDS = ("epsilon", "v_prediction")
BETAS = {"num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULERS = {
    "heun": lambda kind: diffusers.HeunDiscreteScheduler(
        **BETAS, prediction_type=kind, use_karras_sigmas=True, clip_sample=True, clip_sample_range=0.8
    ),
    "euler": lambda kind: diffusers.EulerDiscreteScheduler(**BETAS, prediction_type=kind, use_karras_sigmas=True),
    "ddim": lambda kind: diffusers.DDIMScheduler(
        **BETAS, prediction_type=kind, timestep_spacing="trailing", clip_sample=True, clip_sample_range=0.8
    ),
    "dpmpp_2m": lambda kind: diffusers.DPMSolverMultistepScheduler(
        **BETAS, prediction_type=kind, use_karras_sigmas=True
    ),
}
CONDITION = TensorSpec("embedding", "float32", ("batch", 5))
LATENTS = TensorSpec("latents", "float32", ("batch", 4, 6))
STEPS, GUIDANCE = 8, 3.0


@pytest.fixture(scope="module")
def network():
    return SmallDenoiser().eval()


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(1)
    return rng.standard_normal((2, 5)).astype(np.float32), rng.standard_normal((2, 4, 6)).astype(np.float32)


@torch.inference_mode()
def diffusers_loop(scheduler, predict, embedding, unit, steps=STEPS):
    """As diffusers' pipelines write it: guidance of raw predictions, then the scheduler's own `step` in float64."""
    scheduler.set_timesteps(steps)
    condition = torch.from_numpy(embedding)
    sample = torch.from_numpy(unit).double() * float(scheduler.init_noise_sigma)
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(sample, timestep).float()
        conditional, unconditional = (predict(scaled, timestep, c) for c in (condition, torch.zeros_like(condition)))
        mixed = unconditional + GUIDANCE * (conditional - unconditional)
        sample = scheduler.step(mixed.double(), timestep, sample).prev_sample.double()
    return sample.numpy()


@pytest.mark.parametrize("kind", [*KINDS, "sample"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_step_and_original_equal_diffusers_own_scheduler(network, given, name, kind):
    embedding, unit = given
    expected = diffusers_loop(SCHEDULERS[name](kind), network.predict, embedding, unit)
    settings = sampler(scheduler=name, steps=STEPS, guidance_scale=GUIDANCE)
    step, table, original = both_sides(network, SCHEDULERS[name](kind), settings)
    assert compare(expected, original.sample([embedding], unit)).relative_l2 < 1e-5
    found = run_steps(in_torch(step), table, unit * np.float32(table.init_noise_sigma), embedding)
    assert compare(expected, found).relative_l2 < 1e-5
    if kind != "sample":
        plain, _, _ = both_sides(network, SCHEDULERS[name]("sample"), settings)
        other = run_steps(in_torch(plain), table, unit * np.float32(table.init_noise_sigma), embedding)
        assert compare(expected, other).relative_l2 > 1e-2


@pytest.mark.parametrize("interval", [None, [1.0, 100.0]])
def test_the_program_of_a_step_does_the_same(network, given, tmp_path, interval):
    embedding, unit = given
    settings = sampler(steps=STEPS, guidance_scale=GUIDANCE, clamp="openai", guidance_interval=interval)
    step, table, original = both_sides(network, SCHEDULERS["heun"]("epsilon"), settings)
    session = ort.InferenceSession(trace(step_module("denoiser", step, [CONDITION], LATENTS), 23, tmp_path))
    sample = unit * np.float32(table.init_noise_sigma)
    found = run_steps(lambda arrays: session.run(None, arrays), table, sample, embedding)
    assert compare(original.sample([embedding], unit), found).relative_l2 < 1e-5


def point_e_like(levels, alphas, predict, embedding, unit, kind):
    """OpenAI's order (gaussian_diffusion.py and k_diffusion.py of openai/point-e, s_churn 0): Heun's method where each
    branch's x0 is made at the truncated timestep's alpha, clamped, and then mixed."""
    condition = torch.from_numpy(embedding)

    def denoised(x, level):
        position = np.interp(-1 / (level**2 + 1), -alphas, np.arange(len(alphas)))
        timestep = int(position)
        signal, noise = alphas[timestep] ** 0.5, (1 - alphas[timestep]) ** 0.5
        scaled = x / (level**2 + 1) ** 0.5

        def x0(condition):
            raw = predict(scaled.float(), timestep, condition).double()
            made = (scaled - noise * raw) / signal if kind == "epsilon" else signal * scaled - noise * raw
            return made.clamp(-1, 1)

        conditional, unconditional = x0(condition), x0(torch.zeros_like(condition))
        return unconditional + GUIDANCE * (conditional - unconditional)

    x = torch.from_numpy(unit).double() * levels[0]
    for level, following in zip(levels, [*levels[1:], 0.0], strict=True):
        slope = (x - denoised(x, level)) / level
        there = x + slope * (following - level)
        if following > 0:
            slope = (slope + (there - denoised(there, following)) / following) / 2
        x = x + slope * (following - level)
    return x.numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_openai_order_makes_x0_before_it_clamps(network, given, kind):
    """Levels of Point-E's base models, from below the trained ones."""
    embedding, unit = given
    own = diffusers.DDIMScheduler(
        num_train_timesteps=1024, beta_schedule="squaredcos_cap_v2", prediction_type=kind, clip_sample=True
    )
    levels = (120 ** (1 / 7) + np.linspace(0, 1, 16) * (1e-3 ** (1 / 7) - 120 ** (1 / 7))) ** 7
    alphas = np.cumprod(1 - own.betas.double().numpy())
    with torch.inference_mode():
        expected = point_e_like(levels, alphas, network.predict, embedding, unit, kind)
    settings = sampler(steps=16, guidance_scale=GUIDANCE, clamp="openai", lowest_noise=1e-3, highest_noise=120.0)
    step, table, original = both_sides(network, own, settings)
    assert compare(expected, original.sample([embedding], unit)).relative_l2 < 1e-4
    found = run_steps(in_torch(step), table, unit * np.float32(table.init_noise_sigma), embedding)
    assert compare(expected, found).relative_l2 < 1e-4


def test_a_network_of_x0_needs_no_factors(network):
    step, table, _ = both_sides(network, SCHEDULERS["heun"]("sample"), sampler(steps=STEPS))
    assert (table.x0 == [0, 1]).all() and "x0_factors" not in dict(step.named_buffers())


@pytest.mark.parametrize("kind", KINDS)
def test_x0_comes_out(kind):
    rng = np.random.default_rng(0)
    x0, noise = rng.standard_normal((2, 50))
    for level in (1e-3, 1.0, 400.0):
        signal = 1 / np.sqrt(1 + level**2)
        scaled = signal * x0 + level * signal * noise
        prediction = noise if kind == "epsilon" else signal * noise - level * signal * x0
        factors = x0_factors(kind, np.array([level]), np.array([signal]))[0]
        assert np.allclose(to_x0(factors, scaled / signal, prediction), x0)


def test_a_prediction_type_that_is_not_known_is_refused():
    own = diffusers.DDIMScheduler(prediction_type="epsilon")
    own.register_to_config(prediction_type="score")
    with pytest.raises(RecipeError, match=r"prediction_type 'score'; supported are sample, epsilon, v_prediction"):
        make_scheduler("euler", own, "diffusers")
