"""Signed distance functions of the building blocks (Inigo Quilez, "distance functions"), negative inside.

Each takes points in the block's own frame [..., 3] and its dimensions [..., 4] and gives distances [...]. Distances
are exact or a lower bound in magnitude, which is what sphere tracing needs.
"""

import torch
from torch import Tensor


def box(p: Tensor, d: Tensor) -> Tensor:
    """Box with half sizes d[0:3] and rounding radius d[3]."""
    q = p.abs() - (d[..., :3] - d[..., 3:])
    return q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0) - d[..., 3]


def ellipsoid(p: Tensor, d: Tensor) -> Tensor:
    """Ellipsoid with radii d[0:3]."""
    radii = d[..., :3]
    k0 = (p / radii).norm(dim=-1)
    k1 = (p / radii.square()).norm(dim=-1)
    return k0 * (k0 - 1) / k1.clamp(min=1e-6)


def frustum(p: Tensor, d: Tensor) -> Tensor:
    """Round frustum along z: half height d[0], bottom radius d[1], top radius d[2]; equal radii make a cylinder."""
    return _frustum_profile(p[..., :2].norm(dim=-1), p[..., 2], d)


def _frustum_profile(r: Tensor, z: Tensor, d: Tensor) -> Tensor:
    h, r1, r2 = d[..., 0], d[..., 1], d[..., 2]
    cap_x = r - torch.minimum(r, torch.where(z < 0, r1, r2))
    cap_y = z.abs() - h
    kx, ky = r2 - r1, 2 * h
    t = (((r2 - r) * kx + (h - z) * ky) / (kx * kx + ky * ky)).clamp(0, 1)
    side_x, side_y = r - r2 + kx * t, z - h + ky * t
    inside = (side_x < 0) & (cap_y < 0)
    squared = torch.minimum(cap_x.square() + cap_y.square(), side_x.square() + side_y.square())
    return torch.where(inside, -1.0, 1.0) * squared.clamp(min=1e-12).sqrt()


def torus(p: Tensor, d: Tensor) -> Tensor:
    """Torus around z: ring radius d[0], tube radius d[1]."""
    ring = p[..., :2].norm(dim=-1) - d[..., 0]
    return (ring.square() + p[..., 2].square()).sqrt() - d[..., 1]


def shell(p: Tensor, d: Tensor) -> Tensor:
    """Lower half of a hollow sphere: radius d[0], half wall thickness d[1]."""
    return torch.maximum((p.norm(dim=-1) - d[..., 0]).abs() - d[..., 1], p[..., 2])


def pyramid(p: Tensor, d: Tensor) -> Tensor:
    """Square frustum along z: half height d[0], bottom half side d[1], top half side d[2]."""
    return _wedge(p[..., :2].abs().amax(-1), p[..., 2], d)


def gable(p: Tensor, d: Tensor) -> Tensor:
    """Roof: a triangle over x with half height d[0] and half width d[1], half length d[3] along y."""
    return torch.maximum(_wedge(p[..., 0].abs(), p[..., 2], d), p[..., 1].abs() - d[..., 3])


def _wedge(q: Tensor, z: Tensor, d: Tensor) -> Tensor:
    h, bottom, top = d[..., 0], d[..., 1], d[..., 2]
    lean = bottom - top
    length = (lean.square() + 4 * h.square()).sqrt()
    side = (q - (bottom + top) / 2) * (2 * h / length) + z * (lean / length)
    return torch.maximum(side, z.abs() - h)


def cup(p: Tensor, d: Tensor) -> Tensor:
    """Cylinder open at the top: half height d[0], radius d[1], wall thickness d[2]."""
    h, radius, wall = d[..., 0], d[..., 1], d[..., 2]
    r, z = p[..., :2].norm(dim=-1), p[..., 2]
    outside = torch.maximum(r - radius, z.abs() - h)
    hollow = torch.maximum(r - (radius - wall), -(z + h - wall))
    return torch.maximum(outside, -hollow)


KINDS = {f.__name__: f for f in (box, ellipsoid, frustum, torus, shell, pyramid, gable, cup)}
KIND_INDEX = {name: index for index, name in enumerate(KINDS)}
