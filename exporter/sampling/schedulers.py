"""Scheduler names of a recipe -> diffusers schedulers with the noise levels of the model's own configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
)
from numpy.typing import NDArray

from exporter.errors import RecipeError, did_you_mean

STOCHASTIC = ("ddpm", "euler_ancestral", "k_dpm_2_ancestral", "dpm_sde", "sde_dpmpp_2m", "lcm", "tcd", "repaint", "sa")
ADAPTIVE = ("dpm_adaptive", "rk45", "thresholding")


class Schedule(Protocol):
    """The part of a sampler section that a scheduler is made from."""

    @property
    def scheduler(self) -> str: ...
    @property
    def spacing(self) -> str: ...
    @property
    def highest_noise(self) -> float | None: ...
    @property
    def clamp(self) -> str: ...


def _heun(own: Any, betas: list[float], clip: bool) -> Any:
    return HeunDiscreteScheduler.from_config(own.config, clip_sample=clip)


def _euler(own: Any, betas: list[float], clip: bool) -> Any:
    return EulerDiscreteScheduler(
        num_train_timesteps=len(betas),
        trained_betas=betas,
        prediction_type=own.config.prediction_type,
        use_karras_sigmas=True,
    )


def _ddim(own: Any, betas: list[float], clip: bool) -> Any:
    return DDIMScheduler(
        num_train_timesteps=len(betas),
        trained_betas=betas,
        prediction_type=own.config.prediction_type,
        timestep_spacing="trailing",
        clip_sample=clip,
        clip_sample_range=clip_range(own),
    )


def _dpmpp_2m(own: Any, betas: list[float], clip: bool) -> Any:
    return DPMSolverMultistepScheduler(
        num_train_timesteps=len(betas),
        trained_betas=betas,
        prediction_type=own.config.prediction_type,
        use_karras_sigmas=True,
        algorithm_type="dpmsolver++",
        solver_order=2,
    )


SCHEDULERS: dict[str, Callable[[Any, list[float], bool], Any]] = {
    "heun": _heun,
    "euler": _euler,
    "ddim": _ddim,
    "dpmpp_2m": _dpmpp_2m,
}


def make_scheduler(name: str, own: Any, clamp: str) -> Any:
    """The diffusers scheduler called `name`, with the betas of the model's `own` scheduler.

    With `clamp` "openai" the scheduler does not clip, since the predictions were clamped before guidance; with
    "diffusers" it clips where its class does (Heun and DDIM: yes; Euler and DPM-Solver++ never clip).
    Raises RecipeError, by name, for a scheduler whose update is not linear.
    """
    if name not in SCHEDULERS:
        raise RecipeError(_refusal(name))
    clip = bool(own.config.get("clip_sample", False)) and clamp == "diffusers"
    return SCHEDULERS[name](own, own.betas.tolist(), clip)


def schedule_of(settings: Schedule, own: Any) -> Any:
    """The diffusers scheduler of a sampler section, its noise levels spaced and bounded as the section says.

    Raises RecipeError for a highest noise level beyond those that the model was trained on.
    """
    scheduler = make_scheduler(settings.scheduler, own, settings.clamp)
    if settings.spacing != "karras":
        scheduler.register_to_config(use_karras_sigmas=False, **{f"use_{settings.spacing}_sigmas": True})
    if settings.highest_noise is not None:
        lowest, highest = noise_levels(scheduler, torch.tensor([0, len(scheduler.betas) - 1]))
        if not lowest < settings.highest_noise <= highest:
            raise RecipeError(
                f"sampler.highest_noise: found {settings.highest_noise:g}; the model knows noise levels from "
                f"{lowest:.2g} to {highest:.0f}"
            )
        scheduler.register_to_config(sigma_min=float(lowest), sigma_max=settings.highest_noise)
    return scheduler


def clip_range(own: Any) -> float:
    """The magnitude that the model's scheduler clips x0 to."""
    return float(own.config.get("clip_sample_range", 1.0))


def start(scheduler: Any, steps: int) -> torch.Tensor:
    """Set a scheduler to the beginning of `steps` steps; the timesteps, one for each evaluation of the network."""
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    return scheduler.timesteps


def noise_levels(scheduler: Any, timesteps: torch.Tensor) -> NDArray[np.float64]:
    """The noise level sqrt((1 - a)/a) at each of a scheduler's timesteps [T], trained or between two that are."""
    kept = scheduler.alphas_cumprod.double().numpy()
    trained = 0.5 * np.log((1.0 - kept) / kept)
    return np.exp(np.interp(timesteps.double().numpy(), np.arange(len(trained)), trained))


def timesteps_for_model(timesteps: torch.Tensor, clamp: str) -> torch.Tensor:
    """What the network is told of the time: OpenAI's code truncates the timestep to an integer, diffusers does not."""
    if clamp != "openai":
        return timesteps
    nearest = timesteps.round()
    whole = (timesteps - nearest).abs() < 1e-4
    return torch.where(whole, nearest, timesteps.floor())


def _refusal(name: str) -> str:
    kind = "stochastic" if name in STOCHASTIC else "adaptive" if name in ADAPTIVE else None
    reason = f"{name!r} is {kind}: its update is not a fixed linear map" if kind else f"no scheduler {name!r}"
    return f"sampler.scheduler: {reason}; {did_you_mean(name, SCHEDULERS)}"
