"""x0 from whatever a network predicts: x0 = p·sample + q·prediction, two numbers an evaluation.

Every solver is linear in x0 and in samples, so that tables, guidance and clamps are of x0 alone. The sample that the
network gets, scaled to unit variance, is s·x0 + n·noise with s² + n² = 1 and n/s the noise level.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from exporter.errors import RecipeError

PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")
Values = TypeVar("Values", np.ndarray, torch.Tensor)
Factors = NDArray[np.float64]


def prediction_type(scheduler: Any) -> str:
    """What a scheduler's `step` takes for the network's prediction. Raises RecipeError for what is not known here."""
    found = str(scheduler.config.prediction_type)
    if found not in PREDICTION_TYPES:
        raise RecipeError(
            f"model.weights: the scheduler's configuration has prediction_type {found!r}; supported are "
            f"{', '.join(PREDICTION_TYPES)}"
        )
    return found


def taking_x0(scheduler: Any) -> Any:
    """A copy of a scheduler, where it stands, whose `step` takes x0: no rounding of its own on the way there."""
    copied = copy.deepcopy(scheduler)
    copied.register_to_config(prediction_type="sample")
    return copied


def x0_factors(kind: str, levels: NDArray[np.float64], input_scale: NDArray[np.float64]) -> Factors:
    """p and q [T,2] of a network that predicts `kind` at noise levels [T], of samples before the input scale [T].

    v is s·noise - n·x0 (Salimans and Ho, arXiv 2202.00512).
    """
    signal = 1.0 / np.sqrt(1.0 + levels**2)
    of_sample, of_prediction = {
        "sample": (np.zeros_like(levels), np.ones_like(levels)),
        "epsilon": (input_scale / signal, -levels),
        "v_prediction": (input_scale * signal, -levels * signal),
    }[kind]
    return np.stack([of_sample, of_prediction], axis=1)


def to_x0(factors: Factors, sample: Values, prediction: Values) -> Values:
    """x0 from a prediction, by one row [2] of factors."""
    p, q = factors.tolist()
    return prediction if (p, q) == (0.0, 1.0) else p * sample + q * prediction
