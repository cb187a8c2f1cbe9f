"""The whole sampler as one ONNX graph without a loop: every evaluation a copy of the step's nodes, weights shared."""

from __future__ import annotations

from pathlib import Path

from exporter.sampling.step_graph import StepGraph, identity, sampler_model, zeros_like


def unrolled(step_program: Path, evaluations: int, folder: Path) -> Path:
    """Write the program sample [B,*latents], embedding [B,...] -> latents [B,*latents] into `folder`; its path.

    What depends on the step alone (its rows of the tables) is folded into constants.
    """
    step = StepGraph(step_program)
    nodes = zeros_like("sample", "zeros")
    constants = []
    sample, previous_sample, previous_prediction = "sample", "zeros", "zeros"
    for i in range(evaluations):
        prefix = f"evaluation_{i}/"
        folded = step.fold(i, prefix)
        constants += folded
        names = {"sample": sample, "previous_sample": previous_sample, "previous_prediction": previous_prediction}
        nodes += step.copy(names, prefix, without=step.foldable)
        previous_sample, previous_prediction, sample = sample, f"{prefix}prediction", f"{prefix}next_sample"
    nodes.append(identity(sample, "latents"))
    return sampler_model(step, nodes, constants, folder, without=step.folded_away)
