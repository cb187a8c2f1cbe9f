"""The whole sampler as one pure module: every evaluation of the step after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from exporter.pipeline.stage import Stage, TensorSpec


class WholeSampler(nn.Module):
    """Noise [B,*latents] times the initial sigma, and embeddings [B,...], to latents [B,*latents]."""

    def __init__(self, step: Callable[..., tuple[torch.Tensor, torch.Tensor]], evaluations: int) -> None:
        """`step`: a `SamplerStep`, or a graph that was made from one."""
        super().__init__()
        self.step = step
        self.evaluations = nn.Buffer(torch.arange(evaluations))

    def forward(self, sample: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        previous_sample = previous_prediction = torch.zeros_like(sample)
        for evaluation in self.evaluations:
            following, prediction = self.step(sample, previous_sample, previous_prediction, embedding, evaluation)
            sample, previous_sample, previous_prediction = following, sample, prediction
        return sample


def whole_stage(step: Stage, evaluations: int) -> Stage:
    """The `sampler` program of a bundle, made from its step."""
    latents = step.inputs[0]
    embedding = next(spec for spec in step.inputs if spec.name == "embedding")
    outputs = (TensorSpec("latents", latents.dtype, latents.shape),)
    return Stage("sampler", WholeSampler(step.module, evaluations), (latents, embedding), outputs)
