"""The sampling loop of an original model, the same for every family: its network, and its scheduler's own `step`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from exporter.recipe.sampler_section import SamplerSection
from exporter.runtime.guidance import guided_at
from exporter.runtime.run import Draws, OnStep
from exporter.sampling.churned_heun import ChurnedHeun
from exporter.sampling.levels import (
    initial_sigma,
    input_scales,
    levels_for_model,
    noise_levels,
    scaled_input,
    start,
    timesteps_for_model,
)
from exporter.sampling.prediction import Factors, prediction_type, taking_x0, to_x0, x0_factors
from exporter.sampling.table import condition_weights


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the network, and of the prompt beside no prompt where it is `guided`.

    The scheduler gets `timestep`, the network `model_timestep`; by the factors `x0` [2] its prediction becomes x0.
    `fresh_noise`: what the unit noise is multiplied by that the sample gets afterwards, of a sampler with churn.
    `weights`: of each other set of conditions.
    """

    timestep: torch.Tensor
    model_timestep: torch.Tensor
    guided: bool
    x0: Factors
    fresh_noise: float
    weights: tuple[float, ...]


@dataclass(frozen=True)
class OriginalSampler:
    """Noise to latents as the authors' code makes them.

    `predict(sample [B,*latents], timestep, *conditions [B,...])`: the network's raw prediction for a scaled sample.
    `scheduler`: of `schedule_of`. `clip`: the magnitude that x0 is clamped to where the order is OpenAI's.
    """

    predict: Callable[..., torch.Tensor]
    scheduler: Any
    clip: float
    settings: SamplerSection

    def evaluations(self) -> list[Evaluation]:
        """What differs from evaluation to evaluation. The scheduler is at the beginning afterwards."""
        settings, scheduler = self.settings, self.scheduler
        start(scheduler, settings.steps)
        model_timesteps = timesteps_for_model(scheduler, settings.clamp)
        guided = guided_at(noise_levels(scheduler), settings.guidance_scale, settings.guidance_interval)
        levels, scales = levels_for_model(scheduler, settings.clamp), input_scales(scheduler)
        factors = x0_factors(prediction_type(scheduler), levels, scales)
        fresh = scheduler.fresh_noise.tolist() if isinstance(scheduler, ChurnedHeun) else [0.0] * len(factors)
        weights = condition_weights(settings, len(factors)).values()
        of_each = list(zip(*weights, strict=True)) or [()] * len(factors)
        rows = zip(scheduler.timesteps, model_timesteps, guided.tolist(), factors, fresh, of_each, strict=True)
        return [Evaluation(*row) for row in rows]

    @torch.inference_mode()
    def predicted(
        self, evaluation: Evaluation, sample: torch.Tensor, scaled: torch.Tensor, conditions: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """What the scheduler is to get of an evaluation, guided: x0 in OpenAI's order, where each branch is clamped
        before they are mixed; else the network's own prediction. `scaled`: the sample as the network gets it."""
        given, none = self._scheduled(evaluation, conditions)
        if not evaluation.guided:
            return self._clamped(evaluation, sample, self.predict(scaled, evaluation.model_timestep, *given))
        both = [torch.cat([without, condition]) for without, condition in zip(none, given, strict=True)]
        raw = self.predict(torch.cat([scaled, scaled]), evaluation.model_timestep, *both)
        unconditional, conditional = self._clamped(evaluation, torch.cat([sample, sample]), raw).chunk(2)
        return unconditional + self.settings.guidance_scale * (conditional - unconditional)

    @torch.inference_mode()
    def sample(
        self,
        conditions: Sequence[np.ndarray],
        noise: np.ndarray,
        on_step: OnStep | None = None,
        evaluations: int | None = None,
        draws: Draws | None = None,
    ) -> np.ndarray:
        """Conditions [B,...], other sets of them after the prompt's own, and unit normal noise [B,*latents] to latents;
        `draws`: the noise of a sampler with churn.

        `on_step(i, sample, prediction)` gets the sample that went into evaluation i and the guided prediction of x0
        made from it, before the scheduler's clamp. The scheduler's own arithmetic runs in float64, so that its rounding
        is not counted against a program. With `evaluations` the loop stops early.
        """
        given = [torch.from_numpy(condition) for condition in conditions]
        rows = self.evaluations()
        gets_x0 = self.settings.clamp == "openai"
        scheduler = taking_x0(self.scheduler) if gets_x0 else self.scheduler
        sample = torch.from_numpy(noise) * initial_sigma(scheduler)
        for i, row in enumerate(rows[:evaluations]):
            exact = sample.double()
            scaled = scaled_input(scheduler, exact, row.timestep).float()
            prediction = self.predicted(row, sample, scaled, given).double()
            if on_step:
                x0 = prediction if gets_x0 else to_x0(row.x0, exact, prediction)
                on_step(i, sample.numpy(), x0.float().numpy())
            following = scheduler.step(prediction, row.timestep, exact).prev_sample
            if row.fresh_noise:
                assert draws is not None, "a sampler with churn takes noise at every evaluation"
                following += row.fresh_noise * torch.from_numpy(draws(1 + i)).double()
            sample = following.float()
        return sample.numpy()

    def _scheduled(
        self, evaluation: Evaluation, conditions: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The conditions of an evaluation, and what stands for none: zeros, or what replaces them."""
        size = len(conditions) // (1 + len(self.settings.conditions))
        given = list(conditions[:size])
        sides = {"prompt": given, "none": [torch.zeros_like(condition) for condition in given]}
        for i, (schedule, weight) in enumerate(
            zip(self.settings.conditions.values(), evaluation.weights, strict=True), start=1
        ):
            others, side = conditions[i * size : (i + 1) * size], sides[schedule.replaces]
            side[:] = [(1 - weight) * one + weight * other for one, other in zip(side, others, strict=True)]
        return sides["prompt"], sides["none"]

    def _clamped(self, evaluation: Evaluation, sample: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
        if self.settings.clamp != "openai":
            return raw
        return to_x0(evaluation.x0, sample.double(), raw.double()).float().clamp(-self.clip, self.clip)
