"""Pictures of objects by sphere tracing their distance field, lit by one lamp on a white background."""

import math

import torch
from torch import Tensor

from training.objects import FIELD_OF_VIEW, VIEW_DISTANCE, Scene, lambert

FIRST_STEPS, MORE_STEPS = 8, 32
HIT = 4e-3


def camera_rays(azimuth: Tensor, elevation: Tensor, size: int, jitter: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cameras [V] that look at the origin, angles in radians -> origins [V, 3] and unit directions [V, size * size, 3].

    `jitter` [V, 2] moves the whole pixel grid by a fraction of a pixel.
    """
    device = azimuth.device
    origin = VIEW_DISTANCE * torch.stack(
        [elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()], -1
    )
    forward = -origin / VIEW_DISTANCE
    right = torch.stack([-azimuth.sin(), azimuth.cos(), torch.zeros_like(azimuth)], -1)
    down = torch.linalg.cross(forward, right)
    steps = torch.arange(size, device=device) + 0.5
    v, u = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([u, v], -1).reshape(1, -1, 2)
    if jitter is not None:
        grid = grid + jitter[:, None]
    grid = (grid / size * 2 - 1) * math.tan(FIELD_OF_VIEW / 2)
    directions = forward[:, None] + right[:, None] * grid[..., :1] + down[:, None] * grid[..., 1:]
    return origin, directions / directions.norm(dim=-1, keepdim=True)


def render(scene: Scene, origin: Tensor, directions: Tensor, background: float = 1.0) -> Tensor:
    """One picture an object: origin [B, 3], directions [B, P, 3] -> sRGB [B, P, 3] in [0, 1], the background grey."""
    near, far = VIEW_DISTANCE - math.sqrt(3), VIEW_DISTANCE + math.sqrt(3)
    depth = torch.full(directions.shape[:2], near, device=directions.device)
    depth = march(scene, origin, directions, depth, FIRST_STEPS).clamp(max=far)
    left = of_each(depth < far)  # most rays have left the scene by now
    near_rays = directions.gather(1, left[..., None].expand(-1, -1, 3))
    depth = march(scene, origin, near_rays, depth.gather(1, left), MORE_STEPS)
    points = origin[:, None] + depth[..., None] * near_rays
    distance, tone = scene.distances(points)
    color = scene.albedo(tone) * lambert(scene.normals(points)[0])[..., None]
    color = torch.where((distance < HIT)[..., None], color, torch.full_like(color, background))
    return torch.full_like(directions, background).scatter(1, left[..., None].expand(-1, -1, 3), color)


def march(scene: Scene, origin: Tensor, directions: Tensor, depth: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        depth = depth + 0.9 * scene.distances(origin[:, None] + depth[..., None] * directions)[0]
    return depth


def of_each(wanted: Tensor) -> Tensor:
    """Indices [B, K] that hold every wanted place of each row [B, P]; K is the largest count, shorter rows are filled
    up with others.
    """
    return wanted.float().topk(max(1, int(wanted.sum(1).max())), dim=1).indices
