"""Other sets of conditions, each with a weight an evaluation: a negative prompt, and two prompts blended."""

from __future__ import annotations

import json

import diffusers
import numpy as np
import onnxruntime as ort
import pytest
import torch
from pydantic import ValidationError

from exporter.pipeline.tensor import TensorSpec
from exporter.sampling.loop import loop
from exporter.sampling.original_sampler import OriginalSampler
from exporter.sampling.schedulers import clip_range, schedule_of
from exporter.sampling.step import SamplerStep, step_module
from exporter.sampling.table import table_of
from exporter.sampling.unrolled import unrolled
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from tests.exporter.sampling.small_network import SmallDenoiser
from tests.exporter.sampling.test_samplers import in_torch
from tests.exporter.tiny import sampler

GUIDANCE, STEPS = 3.0, 5
NAMES = ("embedding", "negative.embedding", "second.embedding")
LATENTS = TensorSpec("latents", "float32", ("batch", 4, 6))
NEGATIVE = {"negative": {"replaces": "none"}}
SECOND = {"second": {"replaces": "prompt", "weights": [0.0, 1.0]}}
LATE = {"negative": {"replaces": "none", "weights": [0.0, 0.5]}}


def own():
    return diffusers.DDIMScheduler(beta_schedule="scaled_linear", prediction_type="epsilon", clip_sample=True)


def both(conditions, **changes):
    network, settings = SmallDenoiser().eval(), sampler(scheduler="ddim", steps=STEPS, conditions=conditions, **changes)
    table, clip = table_of(settings, own()), clip_range(own())
    clamp = clip if settings.clamp == "openai" else None
    interval = settings.guidance_interval
    step = SamplerStep(network, table, settings.guidance_scale, clamp, interval, 2, settings.conditions).eval()
    return step, table, OriginalSampler(network.predict, schedule_of(settings, own()), clip, settings)


@pytest.fixture(scope="module")
def given():
    drawn = np.random.default_rng(1)
    return drawn.standard_normal((3, 2, 5)).astype(np.float32), drawn.standard_normal((2, 4, 6)).astype(np.float32)


@torch.inference_mode()
def by_hand(prompt_at, none_at, unit):
    """diffusers' own loop, with what is the prompt and what is none at each evaluation."""
    scheduler, network = schedule_of(sampler(scheduler="ddim", steps=STEPS), own()), SmallDenoiser().eval()
    scheduler.set_timesteps(STEPS)
    sample = torch.from_numpy(unit).double()
    for i, timestep in enumerate(scheduler.timesteps):
        scaled = sample.float()
        at = [torch.from_numpy(np.float32(condition(i))) for condition in (prompt_at, none_at)]
        raw, without = (network.predict(scaled, timestep, condition) for condition in at)
        mixed = without + GUIDANCE * (raw - without)
        sample = scheduler.step(mixed.double(), timestep, sample).prev_sample
    return sample.numpy()


CASES = {
    "a negative prompt": (NEGATIVE, lambda i, e: e[0], lambda i, e: e[1]),
    "a negative prompt of half a weight, late": (LATE, lambda i, e: e[0], lambda i, e: 0.5 * i / (STEPS - 1) * e[1]),
    "two prompts blended": (SECOND, lambda i, e: e[0] + i / (STEPS - 1) * (e[1] - e[0]), lambda i, e: 0 * e[0]),
    "both": (NEGATIVE | SECOND, lambda i, e: e[0] + i / (STEPS - 1) * (e[2] - e[0]), lambda i, e: e[1]),
}


def run_steps(run, table, conditions, unit):
    sample = unit * np.float32(table.init_noise_sigma)
    state = {"sample": sample, "previous_sample": 0 * sample, "previous_prediction": 0 * sample}
    for i in range(table.evaluations):
        following, prediction = run(state | conditions | {"step": np.array(i)})
        state = {"sample": following, "previous_sample": state["sample"], "previous_prediction": prediction}
    return state["sample"]


@pytest.mark.parametrize(("conditions", "prompt", "none"), CASES.values(), ids=CASES)
def test_the_original_and_every_program_weigh_them_by_evaluation(given, tmp_path, conditions, prompt, none):
    embeddings, unit = given
    step, table, original = both(conditions)
    expected = by_hand(lambda i: prompt(i, embeddings), lambda i: none(i, embeddings), unit)
    rows = embeddings[: 1 + len(conditions)]
    assert compare(expected, original.sample(list(rows), unit)).relative_l2 < 1e-4
    names = ["embedding", *(f"{name}.embedding" for name in conditions)]
    specs = [TensorSpec(name, "float32", ("batch", 5)) for name in names]
    by_name = dict(zip(names, rows, strict=True))
    assert compare(expected, run_steps(in_torch(step), table, by_name, unit)).relative_l2 < 1e-4
    program = trace(step_module("denoiser", step, specs, LATENTS), 23, tmp_path / "step")
    session = ort.InferenceSession(program)
    found = run_steps(lambda arrays: session.run(None, arrays), table, by_name, unit)
    assert compare(expected, found).relative_l2 < 1e-4
    sample = {"sample": unit * np.float32(table.init_noise_sigma)}
    for make in (loop, unrolled):
        whole = ort.InferenceSession(make(program, table.evaluations, tmp_path / make.__name__, "latents"))
        assert [value.name for value in whole.get_inputs()] == ["sample", *names]
        assert compare(expected, whole.run(None, sample | by_name)[0]).relative_l2 < 1e-4


def test_outside_the_interval_of_guidance_nothing_is_led_away_from(given):
    embeddings, unit = given
    step, table, original = both(NEGATIVE, guidance_interval=[1.0, 5.0])
    inside = (table.noise_levels >= 1.0) & (table.noise_levels <= 5.0)
    assert 0 < inside.sum() < len(inside)
    expected = original.sample(list(embeddings[:2]), unit)
    by_name = dict(zip(NAMES, embeddings[:2], strict=False))
    assert compare(expected, run_steps(in_torch(step), table, by_name, unit)).relative_l2 < 1e-4


def test_zeros_and_the_prompts_own_change_nothing(given):
    """So do hosts stand in for what nobody wrote."""
    embeddings, unit = given
    _, _, plain = both({})
    _, _, original = both(NEGATIVE | SECOND)
    expected = plain.sample([embeddings[0]], unit)
    found = original.sample([embeddings[0], 0 * embeddings[0], embeddings[0]], unit)
    assert compare(expected, found).relative_l2 < 1e-6


def test_the_table_tells_the_weights_where_there_are_any():
    _, table, _ = both(LATE)
    assert json.loads(table.to_json())["conditions"] == {"negative": [0.0, 0.125, 0.25, 0.375, 0.5]}
    step, plain, _ = both({})
    assert "conditions" not in json.loads(plain.to_json())
    assert not any(name.startswith("weights") for name, _ in step.named_buffers())


@pytest.mark.parametrize(
    ("conditions", "changes", "message"),
    [
        (NEGATIVE, {"guidance_scale": 1.0}, "conditions.negative replaces none, which takes guidance_scale above 1"),
        ({"negative": {"replaces": "nothing"}}, {}, "'none' or 'prompt'"),
        ({"a.b": {"replaces": "none"}}, {}, "match pattern"),
        ({"negative": {"replaces": "none", "weights": [1.0]}}, {}, "weights"),
    ],
)
def test_what_makes_no_sense_is_refused(conditions, changes, message):
    with pytest.raises(ValidationError, match=message):
        sampler(conditions=conditions, **changes)
