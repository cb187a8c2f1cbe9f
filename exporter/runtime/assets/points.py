"""Coloured points without a surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.errors import RecipeError
from exporter.pipeline.assets import PointsAsset
from exporter.runtime.run import Run

GREY = 0.6


@dataclass(frozen=True, eq=False)
class PointCloud:
    """positions float32 [P, 3], z up, in the cube from -1 to 1; colors float32 [P, 3], sRGB in [0, 1]."""

    positions: np.ndarray
    colors: np.ndarray


def points_of(run: Run) -> PointCloud:
    """The points of a run's only object. Raises RecipeError for several, and for a pipeline that ends in none."""
    run.require_one()
    asset = run.pipeline.asset(PointsAsset)
    if asset is None:
        raise RecipeError(f"this pipeline makes no points; it makes {', '.join(run.pipeline.assets)}")
    positions = run[asset.positions][0].astype(np.float32) / np.float32(asset.half_width)
    if asset.colors is None:
        return PointCloud(positions, np.full_like(positions, GREY))
    low, high = asset.color_range
    colors = (run[asset.colors][0].astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return PointCloud(positions, colors.clip(0.0, 1.0))
