"""Weights of another name whose field is given a known shape: random ones have no surface.

Such weights are for speed and memory alone, where what a mesh costs depends on its surface.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from exporter.errors import WeightsError

PREFIX = "shaped:"
DEFAULT_SHAPE = "table"

Distance = Callable[[torch.Tensor], torch.Tensor]


def ring(points: torch.Tensor) -> torch.Tensor:
    """A torus around z, signed distances [P] of points [P, 3], positive inside."""
    return 0.2 - torch.hypot(torch.hypot(points[:, 0], points[:, 1]) - 0.55, points[:, 2])


def table(points: torch.Tensor) -> torch.Tensor:
    """A board on four legs."""
    mirrored = torch.cat([points[:, :2].abs(), points[:, 2:]], dim=1)
    board = _box(points, (0.0, 0.0, 0.3), (0.65, 0.65, 0.08))
    return torch.maximum(board, _box(mirrored, (0.5, 0.5, -0.15), (0.08, 0.08, 0.45)))


def balls(points: torch.Tensor) -> torch.Tensor:
    """Eight detached balls of different sizes."""
    corners = torch.tensor([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    radii = torch.linspace(0.12, 0.3, len(corners))
    return (radii - torch.cdist(points, corners)).amax(dim=1)


SHAPES: dict[str, Distance] = {"ring": ring, "table": table, "balls": balls}


def is_shaped(weights: str) -> bool:
    """Whether weights of this name have a field that was fitted to a shape."""
    return weights.startswith(PREFIX)


def split_name(weights: str) -> tuple[str, str]:
    """'shaped:WEIGHTS[:SHAPE]' to the weights that are changed and the shape. Raises WeightsError for no weights."""
    inner, shape = weights.removeprefix(PREFIX), DEFAULT_SHAPE
    before, _, last = inner.rpartition(":")
    if last in SHAPES:
        inner, shape = before, last
    if not inner or is_shaped(inner):
        raise WeightsError(
            f"weights {weights!r}: no weights, or more than one shape; write 'shaped:WEIGHTS' or "
            f"'shaped:WEIGHTS:SHAPE' with one of {', '.join(SHAPES)}"
        )
    return inner, shape


def _box(points: torch.Tensor, center: tuple[float, ...], half: tuple[float, ...]) -> torch.Tensor:
    outside = (points - torch.tensor(center)).abs() - torch.tensor(half)
    return -outside.clamp(min=0).norm(dim=1) - outside.amax(dim=1).clamp(max=0)
