"""Heun's method with churn in every form of the sampler, against Karras' algorithm 2 by formulas of its own."""

from __future__ import annotations

import diffusers
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from pydantic import ValidationError

from exporter.errors import RecipeError
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.inputs.noise import noise
from exporter.sampling.loop import loop
from exporter.sampling.step import step_module
from exporter.sampling.table import CHURNED_TERMS, TERMS
from exporter.sampling.unrolled import unrolled
from exporter.sampling.whole import whole_module
from exporter.trace.onnx import trace
from exporter.workshop.parity import compare
from tests.exporter.sampling.small_network import SmallDenoiser, both_sides
from tests.exporter.sampling.test_samplers import in_torch
from tests.exporter.tiny import sampler

STEPS, GUIDANCE, HIGHEST, LOWEST = 12, 3.0, 120.0, 1e-3
CONDITION = TensorSpec("embedding", "float32", ("batch", 5))
LATENTS = TensorSpec("latents", "float32", ("batch", 4, 6))
CHURNS = {
    "point-e": {"s_churn": 3.0},
    "held at the most": {"s_churn": 1000.0},
    "between two levels": {"s_churn": 3.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.007},
}


def draw(k):
    return np.concatenate([noise(seed, (1, 4, 6), draw=k) for seed in (3, 4)])


def settings(**changes):
    levels = {"highest_noise": HIGHEST, "lowest_noise": LOWEST}
    return sampler(**{"steps": STEPS, "guidance_scale": GUIDANCE, "clamp": "openai"} | levels | changes)


def both(churn, **changes):
    own = diffusers.DDIMScheduler(
        num_train_timesteps=1024, beta_schedule="squaredcos_cap_v2", prediction_type="epsilon", clip_sample=True
    )
    return both_sides(SmallDenoiser().eval(), own, settings(churn=churn, **changes))


@pytest.fixture(scope="module")
def embedding():
    return np.random.default_rng(1).standard_normal((2, 5)).astype(np.float32)


@torch.inference_mode()
def published(embedding, s_churn, s_tmin=0.0, s_tmax=np.inf, s_noise=1.0):
    """karras_sample_progressive and gaussian_diffusion.py of openai/point-e, written again; two draws make the noise of
    the first step, of which the second is given as none: draw 0 stands for both."""
    network, condition = SmallDenoiser().eval(), torch.from_numpy(embedding)
    betas = diffusers.DDIMScheduler(num_train_timesteps=1024, beta_schedule="squaredcos_cap_v2").betas.double().numpy()
    alphas = np.cumprod(1 - betas)
    levels = (HIGHEST ** (1 / 7) + np.linspace(0, 1, STEPS) * (LOWEST ** (1 / 7) - HIGHEST ** (1 / 7))) ** 7

    def denoised(x, level):
        timestep = int(np.interp(-1 / (level**2 + 1), -alphas, np.arange(len(alphas))))
        signal, of_noise = alphas[timestep] ** 0.5, (1 - alphas[timestep]) ** 0.5
        scaled = x / (level**2 + 1) ** 0.5

        def x0(condition):
            raw = network.predict(scaled.float(), timestep, condition).double()
            return ((scaled - of_noise * raw) / signal).clamp(-1, 1)

        conditional, unconditional = x0(condition), x0(torch.zeros_like(condition))
        return unconditional + GUIDANCE * (conditional - unconditional)

    x = None
    for i, (level, following) in enumerate(zip(levels, [*levels[1:], 0.0], strict=True)):
        gamma = min(s_churn / STEPS, 2**0.5 - 1) if s_tmin <= level <= s_tmax else 0.0
        raised = level * (1 + gamma)
        fresh = s_noise * (raised**2 - level**2) ** 0.5
        if x is None:
            x = (level**2 + fresh**2) ** 0.5 * torch.from_numpy(draw(0)).double()
        else:
            x = x + fresh * torch.from_numpy(draw(2 * i)).double()
        slope = (x - denoised(x, raised)) / raised
        there = x + slope * (following - raised)
        if following > 0:
            slope = (slope + (there - denoised(there, following)) / following) / 2
        x = x + slope * (following - raised)
    return x.numpy()


def run_steps(run, table, embedding):
    sample = draw(0) * np.float32(table.init_noise_sigma)
    state = {"sample": sample, "previous_sample": 0 * sample, "previous_prediction": 0 * sample}
    for i in range(table.evaluations):
        given = {"embedding": embedding, "noise": draw(1 + i), "step": np.array(i)}
        following, prediction = run(state | given)
        state = {"sample": following, "previous_sample": state["sample"], "previous_prediction": prediction}
    return state["sample"]


@pytest.mark.parametrize("churn", CHURNS.values(), ids=CHURNS)
def test_the_original_and_the_step_are_the_published_sampling(embedding, churn):
    step, table, original = both(churn)
    expected = published(embedding, **churn)
    assert compare(expected, original.sample([embedding], draw(0), draws=draw)).relative_l2 < 1e-4
    assert compare(expected, run_steps(in_torch(step), table, embedding)).relative_l2 < 1e-4
    other = run_steps(in_torch(both({"s_churn": 1e-9})[0]), table, embedding)
    assert compare(expected, other).relative_l2 > 1e-2


def test_the_program_of_every_form_does_the_same(embedding, tmp_path):
    step, table, original = both(CHURNS["point-e"], steps=4)
    expected = original.sample([embedding], draw(0), draws=draw)
    module = step_module("denoiser", step, [CONDITION], LATENTS)
    program = trace(module, 23, tmp_path / "step")
    session = ort.InferenceSession(program)
    assert [i.name for i in session.get_inputs()][-2:] == ["noise", "step"]
    assert compare(expected, run_steps(lambda arrays: session.run(None, arrays), table, embedding)).relative_l2 < 1e-4

    count = table.evaluations
    given = {
        "sample": draw(0) * np.float32(table.init_noise_sigma),
        "embedding": embedding,
        "noise": np.stack([draw(1 + i) for i in range(count)], axis=1),
    }
    whole = whole_module(module, count, "latents")
    assert [spec.name for spec in whole.inputs] == list(given) and whole.inputs[-1].shape == ("batch", count, 4, 6)
    with torch.inference_mode():
        assert compare(expected, whole.module(*map(torch.from_numpy, given.values())).numpy()).relative_l2 < 1e-4
    for make in (loop, unrolled):
        path = make(program, count, tmp_path / make.__name__, "latents")
        onnx.checker.check_model(path)
        session = ort.InferenceSession(path)
        assert [i.shape for i in session.get_inputs()] == [list(spec.shape) for spec in whole.inputs]
        for rows in (slice(0, 2), slice(0, 1)):
            (found,) = session.run(None, {name: array[rows] for name, array in given.items()})
            assert compare(expected[rows], found).relative_l2 < 1e-4


def test_a_table_has_the_column_only_where_there_is_churn():
    _, churned, _ = both(CHURNS["point-e"])
    step, plain, _ = both(None)
    assert churned.terms == CHURNED_TERMS and plain.terms == TERMS and plain.coefficients.shape[1] == len(TERMS)
    # Only the second evaluation of a step ends it, and after the last there is nothing to come.
    fresh = churned.coefficients[:, -1]
    assert (fresh[::2] == 0).all() and (fresh[1::2] > 0).all()
    assert churned.noise_levels[0] == pytest.approx(HIGHEST * (1 + 3 / STEPS)) == churned.init_noise_sigma
    assert [spec.name for spec in step_module("denoiser", step, [CONDITION], LATENTS).inputs][-2:] == [
        "embedding",
        "step",
    ]


def test_churn_of_the_first_step_alone_is_in_the_beginning(embedding, tmp_path):
    """The program takes the noise all the same, as its manifest says."""
    step, table, original = both({"s_churn": 3.0, "s_tmin": 100.0}, steps=3)
    assert (table.coefficients[:, -1] == 0).all() and table.init_noise_sigma > HIGHEST
    session = ort.InferenceSession(trace(step_module("denoiser", step, [CONDITION], LATENTS), 23, tmp_path))
    expected = original.sample([embedding], draw(0), draws=draw)
    assert compare(expected, run_steps(lambda arrays: session.run(None, arrays), table, embedding)).relative_l2 < 1e-4


def test_churn_that_churns_nothing_is_refused():
    with pytest.raises(RecipeError, match=r"sampler\.churn: no step's noise level, 0\.001 to 120, lies between s_tmin"):
        both({"s_churn": 3.0, "s_tmin": 500.0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheduler": "euler", "churn": {"s_churn": 3.0}}, "euler has no churn; churn goes with heun"),
        ({"churn": {"s_churn": 3.0, "s_tmin": 2.0, "s_tmax": 1.0}}, "s_tmax 1 is not above s_tmin 2"),
        ({"churn": {"s_churn": 0.0}}, "greater than 0"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        settings(**changes)
