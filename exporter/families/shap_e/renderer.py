"""Shap-E's NeRF renderer as a pure, deterministic function of rays and projected weights.

diffusers' `render_rays` (coarse, then fine) with both of its random draws replaced: the coarse samples lie in the
middle of their strata, the fine ones at the quantiles (k + 1/2) / n of the coarse weights' piecewise linear inverse
CDF. The order of the arithmetic is diffusers' own: the positional encoding multiplies positions by up to 2^14, and with
them the difference of one rounding. Memory grows with rays x coarse samples x fine samples.
"""

from __future__ import annotations

import torch
from torch import nn

from exporter.families.shap_e.modules import DENSITY, RADIANCE, FieldNetwork

EPSILON = 1e-6
MIN_RANGE = 1e-3
PMF_FLOOR = 1e-5


class Renderer(nn.Module):
    """Rays [B,R,2,3] (origin, direction) and projected weights to colours [B,R,3]."""

    def __init__(self, network: FieldNetwork, background: torch.Tensor, coarse_samples: int, fine_samples: int) -> None:
        super().__init__()
        self.network = network
        self.background = nn.Buffer(background.detach().clone(), persistent=False)
        self.fractions = nn.Buffer(torch.linspace(0, 1, coarse_samples), persistent=False)
        self.quantiles = nn.Buffer((torch.arange(fine_samples) + 0.5) / fine_samples, persistent=False)

    def forward(self, rays: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        origin, direction = rays[..., 0, :], rays[..., 1, :]
        near, far, hit = self.intersect(origin, direction)
        lower, upper = bins(near, far, near * (1.0 - self.fractions) + far * self.fractions)
        coarse = 0.5 * (lower + upper)
        _, mass = self.integrate(origin, direction, near, far, coarse, weights, "coarse")
        fine = self.resample(near, far, coarse, mass)
        depths = torch.sort(torch.cat([fine, coarse], dim=-1), dim=-1).values
        (color, through), _ = self.integrate(origin, direction, near, far, depths, weights, "fine")
        seen = torch.where(hit, color, torch.zeros_like(color))
        return seen + torch.where(hit, through, torch.ones_like(through)) * self.background

    def intersect(
        self, origin: torch.Tensor, direction: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Where rays enter and leave the cube [-1,1]^3, each [B,R,1], and whether they do."""
        safe = torch.where(direction < 0, direction - EPSILON, direction + EPSILON)
        low, high = (-1.0 - origin) / safe, (1.0 - origin) / safe
        near = torch.minimum(low, high).amax(dim=-1, keepdim=True).clamp(min=0.0)
        far = torch.maximum(low, high).amin(dim=-1, keepdim=True)
        hit = near + MIN_RANGE < far
        return torch.where(hit, near, torch.zeros_like(near)), torch.where(hit, far, torch.ones_like(far)), hit

    def integrate(
        self,
        origin: torch.Tensor,
        direction: torch.Tensor,
        near: torch.Tensor,
        far: torch.Tensor,
        depths: torch.Tensor,
        weights: tuple[torch.Tensor, ...],
        level: str,
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Volume rendering at `depths` [B,R,S]: colour [B,R,3] and transmittance [B,R,1], and each sample's weight."""
        positions = origin[..., None, :] + depths[..., None] * direction[..., None, :]
        channels = self.network(positions.flatten(1, 2), weights).unflatten(1, (-1, depths.shape[-1]))
        density = torch.relu(channels[..., DENSITY[level]]).squeeze(-1)
        radiance = torch.sigmoid(channels[..., RADIANCE[level]])
        lower, upper = bins(near, far, depths)
        absorbed = density * (upper - lower)
        total = torch.cumsum(absorbed, dim=-1)
        before = torch.cat([torch.zeros_like(near), total[..., :-1]], dim=-1)
        mass = (1.0 - torch.exp(-absorbed)) * torch.exp(-before)
        return ((radiance * mass[..., None]).sum(dim=-2), torch.exp(-total[..., -1:])), mass

    def resample(self, near: torch.Tensor, far: torch.Tensor, depths: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
        """Depths [B,R,F] at fixed quantiles of the distribution that `mass` gives over the bins of `depths`."""
        pmf = mass + PMF_FLOOR
        pmf = pmf / pmf.sum(dim=-1, keepdim=True)
        cdf = torch.cumsum(pmf, dim=-1)
        index = (cdf[..., None, :] < self.quantiles[:, None]).sum(dim=-1).clamp(max=depths.shape[-1] - 1)
        lower, upper = bins(near, far, depths)
        chosen = torch.gather(pmf, -1, index)
        inside = (self.quantiles - (torch.gather(cdf, -1, index) - chosen)) / chosen
        start, end = torch.gather(lower, -1, index), torch.gather(upper, -1, index)
        return start + (end - start) * inside.clamp(0.0, 1.0)


def bins(near: torch.Tensor, far: torch.Tensor, depths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The interval that each depth stands for: from halfway to the one before to halfway to the one after."""
    middles = 0.5 * (depths[..., 1:] + depths[..., :-1])
    return torch.cat([near, middles], dim=-1), torch.cat([middles, far], dim=-1)
