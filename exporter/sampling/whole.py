"""The whole sampler as one pure module: every evaluation of the step after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.sampling import STATE


class WholeSampler(nn.Module):
    """Noise [B,*latents] times the initial sigma, and conditions, to latents."""

    def __init__(self, step: Callable[..., tuple[torch.Tensor, torch.Tensor]], evaluations: int) -> None:
        """`step`: a `SamplerStep`, or a graph that was made from one."""
        super().__init__()
        self.step = step
        self.evaluations = nn.Buffer(torch.arange(evaluations))

    def forward(self, sample: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        previous_sample = previous_prediction = torch.zeros_like(sample)
        for evaluation in self.evaluations:
            following, prediction = self.step(sample, previous_sample, previous_prediction, *conditions, evaluation)
            sample, previous_sample, previous_prediction = following, sample, prediction
        return sample


def whole_module(step: PureModule, evaluations: int, latents: str) -> PureModule:
    """The program of all evaluations, made from that of one."""
    sample, conditions = step.inputs[0], [spec for spec in step.inputs if spec.name not in STATE]
    whole = WholeSampler(step.module, evaluations)
    return PureModule(step.name, whole, (sample, *conditions), (replace(sample, name=latents),), step.root)
