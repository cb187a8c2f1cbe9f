"""The sampling loop of an original model, the same for every family: its network, and its scheduler's own `step`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exporter.recipe.recipe import SamplerSection
from exporter.runtime.guidance import guided_at
from exporter.runtime.run import OnStep
from exporter.sampling.levels import noise_levels, start, timesteps_for_model


@dataclass(frozen=True)
class OriginalSampler:
    """Noise to latents as the authors' code makes them.

    `predict(sample [B,*latents], timestep, *conditions [B,...])`: the network's raw prediction for a scaled sample.
    `scheduler`: of `schedule_of`. `clip`: the magnitude that predictions are clamped to where the order is OpenAI's.
    """

    predict: Callable[..., torch.Tensor]
    scheduler: Any
    clip: float
    settings: SamplerSection

    def timesteps(self) -> torch.Tensor:
        """The timestep [T] that the network gets at each evaluation."""
        start(self.scheduler, self.settings.steps)
        return timesteps_for_model(self.scheduler, self.settings.clamp)

    def guided_evaluations(self) -> NDArray[np.bool_]:
        """Which evaluations [T] are guided."""
        start(self.scheduler, self.settings.steps)
        levels = noise_levels(self.scheduler)
        return guided_at(levels, self.settings.guidance_scale, self.settings.guidance_interval)

    @torch.inference_mode()
    def guided(self, sample: torch.Tensor, timestep: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        """The guided prediction for a scaled sample, clamped before mixing where the order is OpenAI's."""
        scale = self.settings.guidance_scale
        if scale <= 1.0:
            return self.unguided(sample, timestep, *conditions)
        both = [torch.cat([torch.zeros_like(condition), condition]) for condition in conditions]
        unconditional, conditional = self.unguided(torch.cat([sample, sample]), timestep, *both).chunk(2)
        return unconditional + scale * (conditional - unconditional)

    @torch.inference_mode()
    def unguided(self, sample: torch.Tensor, timestep: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        """The prediction for the conditions alone, clamped where the order is OpenAI's."""
        prediction = self.predict(sample, timestep, *conditions)
        return prediction.clamp(-self.clip, self.clip) if self.settings.clamp == "openai" else prediction

    @torch.inference_mode()
    def sample(
        self,
        conditions: Sequence[np.ndarray],
        noise: np.ndarray,
        on_step: OnStep | None = None,
        evaluations: int | None = None,
    ) -> np.ndarray:
        """Conditions [B,...] and unit normal noise [B,*latents] to latents.

        `on_step(i, sample, prediction)` gets the sample that went into evaluation i and the prediction made from it,
        before the scheduler's clamp. The scheduler's own arithmetic runs in float64, so that its rounding is not
        counted against a program. With `evaluations` the loop stops early.
        """
        guided = self.guided_evaluations()
        model_timesteps, timesteps = self.timesteps(), self.scheduler.timesteps
        given = [torch.from_numpy(condition) for condition in conditions]
        sample = torch.from_numpy(noise) * float(self.scheduler.init_noise_sigma)
        for i, (timestep, model_timestep) in enumerate(zip(timesteps, model_timesteps, strict=True)):
            if i == evaluations:
                break
            scaled = self.scheduler.scale_model_input(sample.double(), timestep).float()
            predict = self.guided if guided[i] else self.unguided
            prediction = predict(scaled, model_timestep, *given)
            if on_step:
                on_step(i, sample.numpy(), prediction.numpy())
            sample = self.scheduler.step(prediction.double(), timestep, sample.double()).prev_sample.float()
        return sample.numpy()
