"""At which noise levels a prior learns, and how much each error counts."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from training.loop import DEVICE, Draw

DrawLevels = Callable[[int, Draw], tuple[Tensor, Tensor]]
"""Of a batch's size and the step's random numbers: timesteps i64 [n], and how much the error of each counts [n]."""
DECISIVE = 0.65  # of the schedule, where noise (sigma up to about 50) still leaves something to decide
LEVELS = (0.1, 50.0)
SPREAD, UNDECIDED, FLOOR = 0.06, 15.0, 0.004


def decisive_levels(n: int, draw: Draw) -> tuple[Tensor, Tensor]:
    """Stratified over the batch: most where the noise level still decides something; all count the same."""
    place = _places(n, draw)
    timestep = torch.where(place < 0.85, place / 0.85 * DECISIVE, DECISIVE + (place - 0.85) / 0.15 * (1 - DECISIVE))
    return (timestep * 1023).round().long(), torch.ones(n, device=DEVICE)


def even_levels(sigmas: Tensor) -> DrawLevels:
    """Even in their logarithm, and each error in units of the smallest that is possible there.

    About `SPREAD`, the variance among latents of one caption, times the share of it that the noise still hides: fitted
    once to 3,000 red chairs, from whose latents the best answer to a noisy one follows exactly.
    """
    low, high = (math.log(level) for level in LEVELS)

    def draw_levels(n: int, draw: Draw) -> tuple[Tensor, Tensor]:
        wanted = (low + _places(n, draw) * (high - low)).exp()
        timestep = torch.searchsorted(sigmas, wanted).clamp(max=len(sigmas) - 1)
        squared = sigmas[timestep].square()
        return timestep, FLOOR / (SPREAD * squared / (squared + UNDECIDED) + FLOOR)

    return draw_levels


def _places(n: int, draw: Draw) -> Tensor:
    """From 0 to 1, stratified over the batch."""
    return (torch.arange(n, device=DEVICE) + draw.uniform(n)) / n
