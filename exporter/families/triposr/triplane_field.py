"""What a point and a ray see of three planes of features: look-up, density, colour, volume rendering.

Planes [B, 3, F, H, H] are xy, xz and yz, their last edge the first of the two; points are within the radius.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

PLANE_AXES = (slice(0, 2), slice(0, 3, 2), slice(1, 3))
# Rays end a little inside the cube, and those that only touch it see nothing (tsr/utils.py, rays_intersect_bbox).
TIGHTENED, LEAST_INSIDE, LEAST_SLOPE = 1.0 - 1e-3, 0.01, 1e-6
EPSILON = 1e-10


class FieldSettings(NamedTuple):
    """What the release says of its renderer: the volume's half width, what is added before the exponential, and the
    density of the surface."""

    radius: float
    density_bias: float
    level: float


def look_up(planes: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Features [B, P, 3 * F] of points [B, P, 3] in [-1, 1], bilinear between the middles of a plane's squares."""
    places = torch.stack([points[..., axes] for axes in PLANE_AXES], dim=1)
    found = F.grid_sample(planes.flatten(0, 1), places.flatten(0, 1)[:, None], align_corners=False)
    return found[:, :, 0].unflatten(0, (-1, len(PLANE_AXES))).permute(0, 3, 1, 2).flatten(2)


class Radiance(nn.Module):
    """Planes and points [B, P, 3] to density [B, P, 1] and sRGB colour [B, P, 3]."""

    def __init__(self, decoder: nn.Module, settings: FieldSettings) -> None:
        super().__init__()
        self.decoder = decoder
        self.settings = settings

    def forward(self, points: torch.Tensor, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        radius = self.settings.radius
        raw = self.decoder(look_up(planes, (points + radius) / (2 * radius) * 2 - 1))
        return torch.exp(raw[..., :1] + self.settings.density_bias), torch.sigmoid(raw[..., 1:])


class TriplaneField(nn.Module):
    """Points [B, P, 3] and planes to density less the surface's, density and colour."""

    def __init__(self, radiance: Radiance) -> None:
        super().__init__()
        self.radiance = radiance

    def forward(self, points: torch.Tensor, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        density, color = self.radiance(points, planes)
        return density - self.radiance.settings.level, density, color


class TriplaneRenderer(nn.Module):
    """Rays [B, R, 2, 3] and planes to colours [B, R, 3] on white, by evenly spaced samples."""

    def __init__(self, radiance: Radiance, samples: int) -> None:
        super().__init__()
        self.radiance = radiance
        edges = torch.linspace(0, 1, samples + 1, device="cpu")
        self.middles = nn.Buffer((edges[:-1] + edges[1:]) / 2, persistent=False)
        self.widths = nn.Buffer(edges[1:] - edges[:-1], persistent=False)

    def forward(self, rays: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        origin, direction = rays[..., 0, :], rays[..., 1, :]
        near, far, hit = self.intersect(origin, direction)
        depths = near * (1 - self.middles) + far * self.middles
        points = origin[..., None, :] + depths[..., None] * direction[..., None, :]
        density, color = self.radiance(points.flatten(1, 2), planes)
        alpha = 1 - torch.exp(-self.widths * density.unflatten(1, (-1, len(self.widths)))[..., 0])
        # The release multiplies; ONNX adds up alone.
        through = torch.exp(torch.cumsum(torch.log(1 - alpha[..., :-1] + EPSILON), dim=-1))
        weights = alpha * torch.cat([torch.ones_like(alpha[..., :1]), through], dim=-1)
        seen = (weights[..., None] * color.unflatten(1, (-1, len(self.widths)))).sum(dim=-2)
        seen = seen + 1 - weights.sum(dim=-1, keepdim=True)
        return torch.where(hit, seen, torch.ones_like(seen))

    def intersect(
        self, origin: torch.Tensor, direction: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Where rays enter and leave the cube, each [B, R, 1], and whether they do."""
        edge = TIGHTENED * self.radiance.settings.radius
        slope = torch.where(direction.abs() < LEAST_SLOPE, torch.full_like(direction, LEAST_SLOPE), direction)
        high, low = (edge - origin) / slope, (-edge - origin) / slope
        near = torch.minimum(high, low).amax(dim=-1, keepdim=True).clamp(min=0.0)
        far = torch.maximum(high, low).amin(dim=-1, keepdim=True)
        hit = far - near > LEAST_INSIDE
        return torch.where(hit, near, torch.zeros_like(near)), torch.where(hit, far, torch.zeros_like(far)), hit
