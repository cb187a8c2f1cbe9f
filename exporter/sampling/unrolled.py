"""The whole sampler as one ONNX graph without a loop: every evaluation a copy of the step's nodes, weights shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import numpy_helper

from exporter.pipeline.sampling import NEXT_SAMPLE, NOISE, PREDICTION, PREVIOUS_PREDICTION, PREVIOUS_SAMPLE, SAMPLE
from exporter.sampling.step_graph import StepGraph, identity, noise_at, sampler_model, zeros_like


def unrolled(step_program: Path, evaluations: int, folder: Path, latents: str) -> Path:
    """Write the program sample, conditions, all noise -> latents into `folder`; its path.

    What depends on the step alone (its rows of the tables) is folded into constants.
    """
    step = StepGraph(step_program)
    nodes = zeros_like(SAMPLE, "zeros")
    constants = []
    sample, previous_sample, previous_prediction = SAMPLE, "zeros", "zeros"
    for i in range(evaluations):
        prefix = f"evaluation_{i}/"
        folded = step.fold(i, prefix)
        constants += folded
        names = {SAMPLE: sample, PREVIOUS_SAMPLE: previous_sample, PREVIOUS_PREDICTION: previous_prediction}
        if step.takes_noise:
            number, names[NOISE] = f"{prefix}number", f"{prefix}{NOISE}"
            constants.append(numpy_helper.from_array(np.array(i, np.int64), number))
            nodes.append(noise_at(number, names[NOISE]))
        nodes += step.copy(names, prefix, without=step.foldable)
        previous_sample, previous_prediction, sample = sample, f"{prefix}{PREDICTION}", f"{prefix}{NEXT_SAMPLE}"
    nodes.append(identity(sample, latents))
    return sampler_model(step, evaluations, nodes, constants, folder, latents, without=step.folded_away)
