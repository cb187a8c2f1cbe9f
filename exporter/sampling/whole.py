"""The whole sampler as one pure module: every evaluation of the step after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.sampling import NOISE, STATE
from exporter.pipeline.tensor import TensorSpec


class WholeSampler(nn.Module):
    """Noise [B,*latents] times the initial sigma, conditions and, for a sampler with churn, all noise
    [B,evaluations,*latents] to latents."""

    def __init__(
        self, step: Callable[..., tuple[torch.Tensor, torch.Tensor]], evaluations: int, has_churn: bool = False
    ) -> None:
        """`step`: a `SamplerStep`, or a graph that was made from one."""
        super().__init__()
        self.step, self.has_churn = step, has_churn
        self.evaluations = nn.Buffer(torch.arange(evaluations))

    def forward(self, sample: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        *conditions, noise = (*rest, None) if not self.has_churn else rest
        previous_sample = previous_prediction = torch.zeros_like(sample)
        for i, evaluation in enumerate(self.evaluations):
            taken = conditions if noise is None else [*conditions, noise[:, i]]
            following, prediction = self.step(sample, previous_sample, previous_prediction, *taken, evaluation)
            sample, previous_sample, previous_prediction = following, sample, prediction
        return sample


def whole_module(step: PureModule, evaluations: int, latents: str) -> PureModule:
    """The program of all evaluations, made from that of one."""
    inputs = inputs_of_whole(step.inputs, evaluations)
    whole = WholeSampler(step.module, evaluations, has_churn=any(spec.name == NOISE for spec in inputs))
    return PureModule(step.name, whole, inputs, (replace(inputs[0], name=latents),), step.root)


def inputs_of_whole(step: Sequence[TensorSpec], evaluations: int) -> tuple[TensorSpec, ...]:
    """What a program of all evaluations takes, from what that of one does."""
    return tuple(
        replace(spec, shape=(spec.shape[0], evaluations, *spec.shape[1:])) if spec.name == NOISE else spec
        for spec in step
        if spec.name not in STATE[1:]
    )
