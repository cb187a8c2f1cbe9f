"""The loop of a sampler around the program of one evaluation, on the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporter.pipeline.sampling import (
    NEXT_SAMPLE,
    PREDICTION,
    PREVIOUS_PREDICTION,
    PREVIOUS_SAMPLE,
    SAMPLE,
    STEP,
    Sampling,
)
from exporter.runtime.run import Arrays, OnStep


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


def sample(
    sampling: Sampling,
    run: Callable[[Arrays], Arrays],
    conditions: Arrays,
    noise: np.ndarray,
    on_step: OnStep | None = None,
) -> np.ndarray:
    """Latents from conditions by name and unit normal noise [B, *latents].

    `run`: the stage's program. One that holds the whole loop (unroll: loop, full) reports no step.
    """
    state = first_state(sampling, noise)
    if sampling.unroll != "step":
        return run({SAMPLE: state[SAMPLE], **conditions})[sampling.latents.name]
    for step in range(sampling.evaluations):
        made = run(state | conditions)
        if on_step:
            on_step(step, state[SAMPLE], made[PREDICTION])
        state = next_state(state, made)
    return state[SAMPLE]
