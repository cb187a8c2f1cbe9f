"""The noise that Point-E's models were trained on, as diffusers' scheduler: 1,024 steps of predicted noise."""

from __future__ import annotations

import numpy as np
from diffusers import HeunDiscreteScheduler
from numpy.typing import NDArray

STEPS = 1024
MOST = 0.999


def cosine_betas() -> NDArray[np.float64]:
    """Of the base models (Nichol and Dhariwal, arXiv 2102.09672)."""
    times = np.arange(STEPS + 1) / STEPS
    kept = np.cos((times + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1.0 - kept[1:] / kept[:-1], MOST)


def linear_betas() -> NDArray[np.float64]:
    """Of the upsampler (Ho et al., arXiv 2006.11239, scaled to the number of steps)."""
    scale = 1000.0 / STEPS
    return np.linspace(scale * 1e-4, scale * 0.02, STEPS)


def predicted_noise(betas: NDArray[np.float64]) -> HeunDiscreteScheduler:
    """The scheduler of a model that was trained to predict the noise of these steps."""
    return HeunDiscreteScheduler(
        num_train_timesteps=STEPS,
        trained_betas=betas.tolist(),
        prediction_type="epsilon",
        use_karras_sigmas=True,
        clip_sample=True,
        clip_sample_range=1.0,
    )
