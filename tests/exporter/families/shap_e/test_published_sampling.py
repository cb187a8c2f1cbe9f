"""Shap-E sampled as OpenAI published it. Levels, timesteps and the loop are computed here, from the formulas of
openai/shap-e (k_diffusion.py, gaussian_diffusion.py, sample_text_to_3d.ipynb), around diffusers' prior."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import onnxruntime as ort
import pytest
import torch

from exporter.families.registry import load_model
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.run import make, requests_of, unit_noise
from exporter.sampling.levels import start, timesteps_for_model
from exporter.sampling.schedulers import schedule_of
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from tests.exporter.sampling.test_samplers import in_torch, make_step, run_steps, sampled_by_the_original

STEPS, LOWEST, HIGHEST, GUIDANCE = 64, 1e-3, 160.0, 15.0
PROMPTS = ["a red chair", "a small blue table"]


def cumulative_alphas():
    """`exp` of the published diffusion configuration: alpha_bar(t) = exp(-12 t) in 1024 steps, betas at most 0.999."""
    kept = [math.exp(-12.0 * i / 1024) for i in range(1025)]
    betas = [min(1 - kept[i + 1] / kept[i], 0.999) for i in range(1024)]
    return np.cumprod(1 - np.array(betas))


def published_levels(steps=STEPS):
    ramp = torch.linspace(0, 1, steps)
    low, high = LOWEST ** (1 / 7), HIGHEST ** (1 / 7)
    return torch.cat([(high + ramp * (low - high)) ** 7, torch.zeros(1)])


ALPHAS = cumulative_alphas()


def published_timestep(level):
    alphas, wanted = ALPHAS, 1 / (float(level) ** 2 + 1)
    if wanted > alphas[0]:
        return 0
    if wanted <= alphas[-1]:
        return 1023
    before = int((alphas > wanted).sum()) - 1
    return int(before + (alphas[before] - wanted) / (alphas[before] - alphas[before + 1]))


def published_samples(prior, embedding, unit, guidance):
    """The sample [B,N,D] after each evaluation of Heun's method (Karras et al., arXiv 2206.00364, algorithm 1)."""
    channels = unit.shape[-1]

    def x0(x, level):
        scaled = x / (level**2 + 1) ** 0.5
        condition = torch.cat([embedding, torch.zeros_like(embedding)])
        timestep = torch.tensor([published_timestep(level)] * len(condition))
        output = prior(torch.cat([scaled, scaled]), timestep, condition).predicted_image_embedding
        conditional, unconditional = output[..., :channels].clamp(-1, 1).chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    x, levels = unit * HIGHEST, published_levels()
    for level, following in pairwise(levels):
        slope = (x - x0(x, level)) / level
        there = x + slope * (following - level)
        yield there
        if following > 0:
            other = (there - x0(there, following)) / following
            there = x + (slope + other) / 2 * (following - level)
            yield there
        x = there


def published_recipe(guidance=GUIDANCE):
    return load_recipe("recipes/shape_e_fp32.yaml", ["sampler.as=openai", f"sampler.guidance_scale={guidance}"])


def start_of(original, prompts):
    """Embeddings [B,E], and unit noise [B,N,D] of the prompts."""
    run = make(original, requests_of(original.pipeline, prompts), range(len(prompts)))
    return run["embedding"], unit_noise(run.seeds, original.pipeline.stages["denoiser"].makes[0].shape[1:])


@pytest.fixture(scope="module")
def mini():
    return load_model("shap-e", "shap-e-mini")


@pytest.fixture(scope="module")
def published(mini):
    """Embeddings, unit noise and the published latents of two prompts."""
    embedding, unit = start_of(mini.original(published_recipe()), PROMPTS)
    with torch.inference_mode():
        *_, latents = published_samples(mini.prior(), torch.from_numpy(embedding), torch.from_numpy(unit), GUIDANCE)
    return embedding, unit, latents.numpy()


def test_the_original_equals_the_published_sampling(mini, published):
    embedding, unit, expected = published
    actual = sampled_by_the_original(mini, published_recipe(), embedding, unit)
    assert compare(expected, actual).relative_l2 < 1e-4


def test_the_exported_step_equals_the_published_sampling(mini, published, tmp_path):
    embedding, unit, expected = published
    step, table = make_step(mini, published_recipe())
    assert table.evaluations == 2 * STEPS - 1
    session = ort.InferenceSession(trace(step, 23, tmp_path))
    sample = unit * np.float32(table.init_noise_sigma)
    actual = run_steps(lambda arrays: session.run(None, arrays), table, sample, embedding)
    assert compare(expected, actual).relative_l2 < 1e-4


def test_the_trained_levels_give_other_latents(mini, published):
    """The published levels are what makes the difference, not the loop around them."""
    embedding, unit, expected = published
    recipe = published_recipe()
    sampler = recipe.sampler.model_copy(update={"lowest_noise": None, "highest_noise": None})
    found = sampled_by_the_original(mini, recipe.model_copy(update={"sampler": sampler}), embedding, unit)
    assert compare(expected, found).relative_l2 > 0.1


def test_every_timestep_is_the_published_one(tiny):
    wrong = []
    for steps in range(1, 129):
        levels = published_levels(steps)
        published = [published_timestep(level) for level in [levels[0], *levels[1:-1].repeat_interleave(2)]]
        sampler = published_recipe().sampler.model_copy(update={"steps": steps})
        scheduler = schedule_of(sampler, tiny.scheduler("denoiser"))
        start(scheduler, steps)
        if timesteps_for_model(scheduler, "openai").tolist() != published:
            wrong.append(steps)
    assert wrong == []


@pytest.mark.slow
def test_the_full_size_begins_as_published():
    """Three evaluations in PyTorch, of the original and of the step; both branches of guidance in each."""
    model, recipe, evaluations = load_model("shap-e", "random:shap-e-300m"), published_recipe(), 3
    original = model.original(recipe)
    embedding, unit = start_of(original, PROMPTS[:1])
    with torch.inference_mode():
        samples = published_samples(model.prior(), torch.from_numpy(embedding), torch.from_numpy(unit), GUIDANCE)
        expected = [next(samples) for _ in range(evaluations)][-1].numpy()
    found = original.samplers["denoiser"].sample([embedding], unit, evaluations=evaluations)
    assert compare(expected, found).relative_l2 < 1e-4
    del original
    step, table = make_step(model, recipe)
    sample = unit * np.float32(table.init_noise_sigma)
    found = run_steps(in_torch(step.module), table, sample, embedding, evaluations)
    assert compare(expected, found).relative_l2 < 1e-4
