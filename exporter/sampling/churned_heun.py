"""Heun's method with churn: Karras et al., arXiv 2206.00364, algorithm 2, which diffusers has without the churn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler

from exporter.errors import RecipeError
from exporter.pipeline.sampling import Churn

LARGEST_RAISE = 2**0.5 - 1


class ChurnedHeun(HeunDiscreteScheduler):
    """The scheduler whose every step begins at a raised noise level where it has a `churn`.

    Its `step` is deterministic: the noise that brings a sample from the level where a step ends to the one where the
    next begins is added outside, unit noise times `fresh_noise` of the evaluation before it.
    """

    churn: Churn | None = None

    @classmethod
    def of(cls, heun: HeunDiscreteScheduler, churn: Churn) -> ChurnedHeun:
        """The scheduler of the same configuration with churn."""
        churned = cls.from_config(heun.config)
        assert isinstance(churned, cls)
        churned.churn = churn
        return churned

    def set_timesteps(self, num_inference_steps: int | None = None, *args: Any, **more: Any) -> None:
        """As of diffusers, and the levels raised. Raises RecipeError where churn raises none of them."""
        super().set_timesteps(num_inference_steps, *args, **more)
        count = len(self.timesteps)
        self.fresh_noise = np.zeros(count)
        self._begins_at = super().init_noise_sigma
        if self.churn is None:
            return
        # Each step's two evaluations: at the level where it begins, and at the one where it ends.
        levels = self.sigmas[:-1:2].double().numpy()
        raised = levels * (1 + self._raises(levels))
        noise = self.churn.s_noise * np.sqrt(raised**2 - levels**2)
        self.fresh_noise[1::2] = noise[1:]
        self._begins_at = float(np.hypot(levels[0], noise[0]))
        self.sigmas[:-1:2] = torch.from_numpy(raised).float()
        alphas_cumprod = self.alphas_cumprod.double().numpy()
        log_sigmas = 0.5 * np.log((1 - alphas_cumprod) / alphas_cumprod)
        found = np.array([self._sigma_to_t(level, log_sigmas) for level in raised])
        self.timesteps[::2] = torch.from_numpy(found).to(self.timesteps.dtype)

    @property
    def init_noise_sigma(self) -> Any:
        """What unit noise is multiplied by at the beginning: the first step's own noise is in it."""
        return self._begins_at

    def _raises(self, levels: np.ndarray) -> np.ndarray:
        """By what share of itself each step's level is raised."""
        churn = self.churn
        assert churn is not None
        highest = np.inf if churn.s_tmax is None else churn.s_tmax
        inside = (levels >= churn.s_tmin) & (levels <= highest)
        if not inside.any():
            raise RecipeError(
                f"sampler.churn: no step's noise level, {levels[-1]:.3g} to {levels[0]:.3g}, lies between s_tmin "
                f"{churn.s_tmin:g} and s_tmax {highest:g}, so that nothing is churned; widen them or leave churn out"
            )
        return np.where(inside, min(churn.s_churn / len(levels), LARGEST_RAISE), 0.0)
