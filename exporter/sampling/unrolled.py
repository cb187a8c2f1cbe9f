"""The whole sampler as one ONNX graph without a loop: every evaluation a copy of the step's nodes, weights shared."""

from __future__ import annotations

from pathlib import Path

from exporter.pipeline.sampling import NEXT_SAMPLE, PREDICTION, PREVIOUS_PREDICTION, PREVIOUS_SAMPLE, SAMPLE
from exporter.sampling.step_graph import StepGraph, identity, sampler_model, zeros_like


def unrolled(step_program: Path, evaluations: int, folder: Path, latents: str) -> Path:
    """Write the program sample, conditions -> latents into `folder`; its path.

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
        nodes += step.copy(names, prefix, without=step.foldable)
        previous_sample, previous_prediction, sample = sample, f"{prefix}{PREDICTION}", f"{prefix}{NEXT_SAMPLE}"
    nodes.append(identity(sample, latents))
    return sampler_model(step, nodes, constants, folder, latents, without=step.folded_away)
