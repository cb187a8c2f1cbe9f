"""The host's loop around a step's program, and the same loop inside one program."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exporter.pipeline.sampling import PREDICTION, SAMPLE, STATE, Sampling
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.sampler_loop import first_state, next_state, sample
from exporter.sampling.whole import WholeSampler
from tests.exporter.sampling.test_whole import Step

EVALUATIONS = 4
SIGMA = 2.5
NOISE = np.random.default_rng(0).standard_normal((2, 2, 3)).astype(np.float32)
CONDITIONS = {"embedding": np.random.default_rng(1).standard_normal((2, 3)).astype(np.float32)}


def sampling(unroll, churn=None):
    return Sampling(
        churn=churn,
        scheduler="heun",
        steps=2,
        evaluations=EVALUATIONS,
        guidance_scale=1.0,
        clamp="diffusers",
        unroll=unroll,
        init_noise_sigma=SIGMA,
        latents=TensorSpec("shape", "float32", ("batch", 2, 3)),
        table="samplers/sampler.json",
    )


def tensors(arrays, *names):
    return [torch.from_numpy(np.asarray(arrays[name])) for name in names]


class StepProgram:
    """The program of one evaluation; `taken`: its inputs each time."""

    def __init__(self):
        self.taken = []

    def __call__(self, arrays):
        self.taken.append(arrays)
        *state, step = STATE
        following, prediction = Step()(*tensors(arrays, *state, "embedding", step))
        return {"next_sample": following.numpy(), "prediction": prediction.numpy()}


def whole_program(arrays):
    assert arrays.keys() == {SAMPLE, "embedding"}
    return {"shape": WholeSampler(Step(), EVALUATIONS)(*tensors(arrays, SAMPLE, "embedding")).numpy()}


@pytest.mark.parametrize("unroll", ["loop", "full"])
def test_the_hosts_loop_is_the_whole_sampler(unroll):
    by_the_host = sample(sampling("step"), StepProgram(), CONDITIONS, NOISE)
    assert np.array_equal(sample(sampling(unroll), whole_program, CONDITIONS, NOISE), by_the_host)
    assert by_the_host.shape == NOISE.shape and by_the_host.dtype == np.float32


def test_with_churn_every_evaluation_takes_a_draw_of_its_own():
    def draws(k):
        return np.full_like(NOISE, k)

    def whole(arrays):
        assert arrays["noise"].shape == (2, EVALUATIONS, 2, 3)
        return {"shape": arrays["noise"].sum(axis=1)}

    program = StepProgram()
    sample(sampling("step", {"s_churn": 3.0}), program, CONDITIONS, NOISE, draws=draws)
    assert [taken["noise"][0, 0, 0] for taken in program.taken] == [1, 2, 3, 4]
    assert (sample(sampling("loop", {"s_churn": 3.0}), whole, CONDITIONS, NOISE, draws=draws) == 1 + 2 + 3 + 4).all()
    with pytest.raises(ValueError, match="no draws are given"):
        sample(sampling("step", {"s_churn": 3.0}), program, CONDITIONS, NOISE)


def test_every_evaluation_takes_the_two_before_it():
    program = StepProgram()
    end = sample(sampling("step"), program, CONDITIONS, NOISE)
    first, second, third, last = program.taken
    assert [int(taken["step"]) for taken in program.taken] == [0, 1, 2, 3] and first["step"].dtype == np.int64
    assert np.array_equal(first["sample"], NOISE * np.float32(SIGMA))
    assert not first["previous_sample"].any() and not first["previous_prediction"].any()
    for before, after in ((first, second), (second, third), (third, last)):
        made = StepProgram()(before)
        assert np.array_equal(after["sample"], made["next_sample"])
        assert np.array_equal(after["previous_sample"], before["sample"])
        assert np.array_equal(after["previous_prediction"], made["prediction"])
    assert np.array_equal(end, StepProgram()(last)["next_sample"])


def test_steps_are_reported_where_they_are_visible():
    program, seen = StepProgram(), []
    sample(sampling("step"), program, CONDITIONS, NOISE, lambda *step: seen.append(step))
    assert [i for i, _, _ in seen] == list(range(EVALUATIONS))
    for (_, before, prediction), taken in zip(seen, program.taken, strict=True):
        assert np.array_equal(before, taken[SAMPLE]) and np.array_equal(prediction, StepProgram()(taken)[PREDICTION])
    sample(sampling("full"), whole_program, CONDITIONS, NOISE, lambda *step: pytest.fail("no step is visible"))


def test_a_state_is_what_a_program_takes_beside_its_conditions():
    state = first_state(sampling("step"), NOISE.astype(np.float64))
    following = next_state(state, StepProgram()(state | CONDITIONS))
    assert state.keys() == following.keys() == set(STATE)
    for one in (state, following):
        assert all(isinstance(array, np.ndarray) for array in one.values())
        assert [one[name].dtype for name in STATE] == [np.float32] * 3 + [np.int64] and one["step"].shape == ()
