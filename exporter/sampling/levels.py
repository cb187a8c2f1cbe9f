"""The noise level at each evaluation of a started scheduler, and the timestep that the network gets there."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Levels = NDArray[np.float64]
# Of a sample that is noise alone: finite, so that every host reads it.
ONLY_NOISE = 1e300


def start(scheduler: Any, steps: int) -> torch.Tensor:
    """Set a scheduler to the beginning of `steps` steps; the timesteps, one for each evaluation of the network."""
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    return scheduler.timesteps


def scaled_input(scheduler: Any, sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """The sample as the network gets it."""
    # Flow matching scales nothing: its schedulers have neither this method nor an initial sigma.
    scaled: torch.Tensor = getattr(scheduler, "scale_model_input", lambda sample, _: sample)(sample, timestep)
    return scaled


def initial_sigma(scheduler: Any) -> float:
    """What the unit noise is multiplied by at the beginning."""
    return float(getattr(scheduler, "init_noise_sigma", 1.0))


def noise_levels(scheduler: Any) -> Levels:
    """The ratio of noise to signal [T] of the sample at each evaluation: the scheduler's own sigma, of a flow
    sigma/(1 - sigma), or, where it has none, the trained level of its timestep."""
    if not hasattr(scheduler, "sigmas"):
        return trained_levels(scheduler)[scheduler.timesteps.numpy()]
    sigmas = scheduler.sigmas[: len(scheduler.timesteps)].double().numpy()
    if hasattr(scheduler, "betas"):
        return sigmas
    with np.errstate(divide="ignore"):
        return np.minimum(sigmas / (1.0 - sigmas), ONLY_NOISE)


def trained_levels(scheduler: Any) -> Levels:
    """The noise levels that the model was trained on, in the order of its timesteps, by diffusers' float32 values."""
    kept = scheduler.alphas_cumprod.double().numpy()
    return np.sqrt((1.0 - kept) / kept)


def input_scales(scheduler: Any) -> Levels:
    """What a started scheduler multiplies the sample by for the network, at each evaluation [T]."""
    walked, zeros = copy.deepcopy(scheduler), torch.zeros(1, dtype=torch.float64)
    scales = []
    for timestep in walked.timesteps:
        scales.append(scaled_input(walked, zeros + 1.0, timestep).item())
        walked.step(zeros, timestep, zeros)
    return np.array(scales)


def timesteps_for_model(scheduler: Any, clamp: str) -> torch.Tensor:
    """The timestep [T] that the network gets at each evaluation: with `clamp` "openai" by OpenAI's own rule.

    That rule finds the level's 1/(sigma² + 1) linearly among the cumulative alphas in float64 and truncates the
    position to an integer; a level beyond the trained ones has the timestep at that end
    (GaussianToKarrasDenoiser.sigma_to_t in openai/shap-e and openai/point-e). diffusers finds it linearly in the
    logarithm of the levels, in float32, and does not truncate.
    """
    if not _by_openai(scheduler, clamp):
        return scheduler.timesteps.float()
    trained = _cumulative_alphas(scheduler)
    wanted = 1.0 / (noise_levels(scheduler) ** 2 + 1.0)
    # np.interp needs rising positions; the cumulative alphas fall.
    found = np.interp(-wanted, -trained, np.arange(len(trained)))
    return torch.from_numpy(np.floor(found)).float()


def levels_for_model(scheduler: Any, clamp: str) -> Levels:
    """The noise level [T] by which a prediction becomes x0: the sample's own, in OpenAI's order that of the truncated
    timestep (GaussianDiffusion._predict_xstart_from_eps in openai/point-e)."""
    if not _by_openai(scheduler, clamp):
        return noise_levels(scheduler)
    kept = _cumulative_alphas(scheduler)[timesteps_for_model(scheduler, clamp).long().numpy()]
    return np.sqrt((1.0 - kept) / kept)


def _by_openai(scheduler: Any, clamp: str) -> bool:
    """Whether timesteps are found by OpenAI's rule. Those of a scheduler without sigmas are integers already, and a
    flow has no alphas to find them in."""
    return clamp == "openai" and hasattr(scheduler, "sigmas") and hasattr(scheduler, "betas")


def _cumulative_alphas(scheduler: Any) -> Levels:
    return np.cumprod(1.0 - scheduler.betas.double().numpy())
