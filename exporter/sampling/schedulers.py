"""Scheduler names of a recipe -> diffusers schedulers with the noise levels of the model's own configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
)

from exporter.errors import RecipeError, did_you_mean
from exporter.recipe.sampler_section import SamplerSection
from exporter.sampling.churned_heun import ChurnedHeun
from exporter.sampling.levels import trained_levels
from exporter.sampling.prediction import FLOW, prediction_type

STOCHASTIC = ("ddpm", "euler_ancestral", "k_dpm_2_ancestral", "dpm_sde", "sde_dpmpp_2m", "lcm", "tcd", "repaint", "sa")
ADAPTIVE = ("dpm_adaptive", "rk45", "thresholding")


def _trained(own: Any) -> dict[str, Any]:
    """What a scheduler has to know of the model's training, from its `own` scheduler."""
    betas = own.betas.tolist()
    return {"num_train_timesteps": len(betas), "trained_betas": betas, "prediction_type": prediction_type(own)}


def _heun(own: Any, clip: bool) -> Any:
    return HeunDiscreteScheduler(
        **_trained(own),
        use_karras_sigmas=True,
        clip_sample=clip,
        clip_sample_range=clip_range(own),
    )


def _euler(own: Any, clip: bool) -> Any:
    return EulerDiscreteScheduler(
        **_trained(own),
        use_karras_sigmas=True,
    )


def _ddim(own: Any, clip: bool) -> Any:
    return DDIMScheduler(
        **_trained(own),
        timestep_spacing="trailing",
        clip_sample=clip,
        clip_sample_range=clip_range(own),
    )


def _dpmpp_2m(own: Any, clip: bool) -> Any:
    return DPMSolverMultistepScheduler(
        **_trained(own),
        use_karras_sigmas=True,
        algorithm_type="dpmsolver++",
        solver_order=2,
    )


def _flow_euler(own: Any, clip: bool) -> Any:
    for setting in ("use_dynamic_shifting", "invert_sigmas"):
        if own.config.get(setting):
            raise RecipeError(
                f"model.weights: the scheduler of these weights has {setting}, which depends on more than the steps; "
                "supported is a fixed shift"
            )
    return FlowMatchEulerDiscreteScheduler.from_config(own.config)


SCHEDULERS: dict[str, Callable[[Any, bool], Any]] = {
    "heun": _heun,
    "euler": _euler,
    "ddim": _ddim,
    "dpmpp_2m": _dpmpp_2m,
    "flow_euler": _flow_euler,
}
OF_DIFFUSION = [name for name in SCHEDULERS if name != "flow_euler"]


def make_scheduler(name: str, own: Any, clamp: str) -> Any:
    """The diffusers scheduler called `name`, with the betas, or the flow's shift, of the model's `own` scheduler.

    With `clamp` "openai" the scheduler does not clip, since the predictions were clamped before guidance; with
    "diffusers" it clips where its class does (Heun and DDIM: yes; Euler and DPM-Solver++ never clip).
    Raises RecipeError, by name, for a scheduler whose update is not linear, for one that does not fit how the model was
    trained, and for a model of an unknown prediction.
    """
    if name not in SCHEDULERS:
        raise RecipeError(_refusal(name))
    is_flow = prediction_type(own) == FLOW
    if is_flow != (name == "flow_euler"):
        trained, takes = ("flow matching", ["flow_euler"]) if is_flow else ("diffusion", OF_DIFFUSION)
        raise RecipeError(
            f"sampler.scheduler: found {name!r}; the model was trained by {trained} ({type(own).__name__}), which "
            f"takes {', '.join(takes)}"
        )
    clip = bool(own.config.get("clip_sample", False)) and clamp == "diffusers"
    return SCHEDULERS[name](own, clip)


def schedule_of(settings: SamplerSection, own: Any) -> Any:
    """The diffusers scheduler of a sampler section, its noise levels spaced and bounded as the section says.

    Levels beyond those that the model was trained on have the timestep at that end. Raises RecipeError where the
    highest level is not above the lowest.
    """
    scheduler = make_scheduler(settings.scheduler, own, settings.clamp)
    if settings.churn:
        scheduler = ChurnedHeun.of(scheduler, settings.churn)
    if settings.spacing != "karras":
        scheduler.register_to_config(use_karras_sigmas=False, **{f"use_{settings.spacing}_sigmas": True})
    if settings.lowest_noise is not None or settings.highest_noise is not None:
        lowest, highest = _bounds(settings, scheduler)
        scheduler.register_to_config(sigma_min=lowest, sigma_max=highest)
    return scheduler


def _bounds(settings: SamplerSection, scheduler: Any) -> tuple[float, float]:
    """The lowest and the highest noise level of a section that says one of them or both."""
    trained = trained_levels(scheduler)
    lowest = float(trained[0]) if settings.lowest_noise is None else settings.lowest_noise
    highest = float(trained[-1]) if settings.highest_noise is None else settings.highest_noise
    if lowest >= highest:
        field, other = ("highest", "lowest") if settings.highest_noise is not None else ("lowest", "highest")
        raise RecipeError(
            f"sampler.{field}_noise: sampling would begin at noise level {highest:.3g} and end at {lowest:.3g}; the "
            f"model was trained on {trained[0]:.2g} to {trained[-1]:.0f}, give sampler.{other}_noise too to go beyond"
        )
    return lowest, highest


def clip_range(own: Any) -> float:
    """The magnitude that the model's scheduler clips x0 to."""
    return float(own.config.get("clip_sample_range", 1.0))


def _refusal(name: str) -> str:
    kind = "stochastic" if name in STOCHASTIC else "adaptive" if name in ADAPTIVE else None
    reason = f"{name!r} is {kind}: its update is not a fixed linear map" if kind else f"no scheduler {name!r}"
    return f"sampler.scheduler: {reason}; {did_you_mean(name, SCHEDULERS)}"
