"""x0 from whatever a network predicts: x0 = p·sample + q·prediction, two numbers an evaluation.

Every solver is linear in x0 and in samples, so that tables, guidance and clamps are of x0 alone. The sample that the
network of a diffusion gets, scaled to unit variance, is s·x0 + n·noise with s² + n² = 1 and n/s the noise level.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray

from exporter.errors import RecipeError
from exporter.sampling.levels import start

FLOW = "flow"
PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")
Values = TypeVar("Values", np.ndarray, torch.Tensor)
Factors = NDArray[np.float64]


class FlowOfX0(FlowMatchEulerDiscreteScheduler):
    """The flow matching scheduler with a `step` that takes x0."""

    def step(self, x0: Any, timestep: Any, sample: Any) -> Any:  # type: ignore[override]
        sigma = self.sigmas[self.begin_index if self.step_index is None else self.step_index]
        return super().step((sample - x0) / sigma, timestep, sample)


def prediction_type(scheduler: Any) -> str:
    """What a scheduler's `step` takes for the network's prediction. Raises RecipeError for what is not known here."""
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return "sample" if isinstance(scheduler, FlowOfX0) else FLOW
    found = scheduler.config.get("prediction_type")
    if found not in PREDICTION_TYPES:
        raise RecipeError(
            f"model.weights: the {type(scheduler).__name__} of these weights has prediction_type {found!r}; supported "
            f"are {', '.join(PREDICTION_TYPES)}, and FlowMatchEulerDiscreteScheduler"
        )
    return str(found)


def taking_x0(scheduler: Any) -> Any:
    """A copy of a scheduler that was just started, whose `step` takes x0: no rounding of its own on the way there."""
    if prediction_type(scheduler) == FLOW:
        flow = FlowOfX0.from_config(scheduler.config)
        start(flow, len(scheduler.timesteps))
        return flow
    copied = copy.deepcopy(scheduler)
    copied.register_to_config(prediction_type="sample")
    return copied


def x0_factors(kind: str, levels: NDArray[np.float64], input_scale: NDArray[np.float64]) -> Factors:
    """p and q [T,2] of a network that predicts `kind` at noise levels [T], of samples before the input scale [T].

    v is s·noise - n·x0 (Salimans and Ho, arXiv 2202.00512). A flow's sample is (1 - t)·x0 + t·noise, t/(1 - t) the
    noise level, and its velocity noise - x0 (Lipman et al., arXiv 2210.02747).
    """
    if kind == "sample":
        return np.tile([0.0, 1.0], (len(levels), 1))
    if kind == FLOW:
        return np.stack([np.ones_like(levels), -1.0 / (1.0 + 1.0 / levels)], axis=1)
    signal = 1.0 / np.sqrt(1.0 + levels**2)
    if kind == "epsilon":
        return np.stack([input_scale / signal, -levels], axis=1)
    return np.stack([input_scale * signal, -levels * signal], axis=1)


def to_x0(factors: Factors, sample: Values, prediction: Values) -> Values:
    """x0 from a prediction, by one row [2] of factors."""
    p, q = factors.tolist()
    return prediction if (p, q) == (0.0, 1.0) else p * sample + q * prediction
