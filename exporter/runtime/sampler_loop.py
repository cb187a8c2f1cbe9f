"""The loop of a sampler around the program of one evaluation, on the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporter.pipeline.sampling import (
    NEXT_SAMPLE,
    NOISE,
    PREDICTION,
    PREVIOUS_PREDICTION,
    PREVIOUS_SAMPLE,
    SAMPLE,
    STEP,
    Sampling,
)
from exporter.runtime.run import Arrays, Draws, OnStep


def first_state(sampling: Sampling, noise: np.ndarray) -> Arrays:
    """What the first evaluation takes beside its conditions, from unit normal noise [B, *latents]."""
    sample = noise.astype(np.float32) * np.float32(sampling.init_noise_sigma)
    zeros = np.zeros_like(sample)
    return {SAMPLE: sample, PREVIOUS_SAMPLE: zeros, PREVIOUS_PREDICTION: zeros, STEP: np.array(0, np.int64)}


def next_state(state: Arrays, made: Arrays) -> Arrays:
    """What the next evaluation takes, from what the last one took and made."""
    return {
        SAMPLE: made[NEXT_SAMPLE],
        PREVIOUS_SAMPLE: state[SAMPLE],
        PREVIOUS_PREDICTION: made[PREDICTION],
        STEP: np.asarray(state[STEP] + 1),
    }


def noise_of_all(draws: Draws, evaluations: int) -> np.ndarray:
    """The noise [B, evaluations, *latents] that a program of all evaluations takes."""
    return np.stack([draws(1 + step) for step in range(evaluations)], axis=1)


def sample(
    sampling: Sampling,
    run: Callable[[Arrays], Arrays],
    conditions: Arrays,
    noise: np.ndarray,
    on_step: OnStep | None = None,
    draws: Draws | None = None,
) -> np.ndarray:
    """Latents from conditions by name and unit normal noise [B, *latents].

    `run`: the stage's program. One that holds the whole loop (unroll: loop, full) reports no step. `draws`: the noise
    of a sampler with churn; raises ValueError where it has none.
    """
    if sampling.churn and draws is None:
        raise ValueError("a sampler with churn takes noise at every evaluation, and no draws are given")
    state, churned = first_state(sampling, noise), draws if sampling.churn else None
    if sampling.unroll != "step":
        given = {NOISE: noise_of_all(churned, sampling.evaluations)} if churned else {}
        return run({SAMPLE: state[SAMPLE], **conditions, **given})[sampling.latents.name]
    for step in range(sampling.evaluations):
        made = run(state | conditions | ({NOISE: churned(1 + step)} if churned else {}))
        if on_step:
            on_step(step, state[SAMPLE], made[PREDICTION])
        state = next_state(state, made)
    return state[SAMPLE]
