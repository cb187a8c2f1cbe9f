"""How far apart two clouds of points are: between their places (Chamfer distance) and between their colours (PSNR)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from exporter.runtime.assets.points import PointCloud
from validate.ladder.images import psnr

SAME_PLACE = 1e-6


def points_distance(first: PointCloud, second: PointCloud) -> float:
    """Symmetric Chamfer distance in volume units: the mean of both mean distances to the nearest point of the other.

    Infinite where a place is no number.
    """
    if not (np.isfinite(first.positions).all() and np.isfinite(second.positions).all()):
        return float("inf")
    there, back = (
        KDTree(other.positions).query(one.positions)[0].mean() for one, other in ((first, second), (second, first))
    )
    return float(there + back) / 2


def color_psnr(reference: PointCloud, actual: PointCloud) -> float:
    """PSNR in dB of the reference's colours against those of the nearest points; infinite for equal ones, nan where a
    place or a colour is no number.

    Of several that are nearest, as where points were clamped to one place, it is the one of the same number, if it is
    among them.
    """
    if not np.isfinite(actual.positions).all():
        return float("nan")
    distances, nearest = KDTree(actual.positions).query(reference.positions)
    if len(actual.positions) == len(reference.positions):
        own = np.linalg.norm(actual.positions - reference.positions, axis=1)
        nearest = np.where(own <= distances + SAME_PLACE, np.arange(len(own)), nearest)
    return psnr(reference.colors, actual.colors[nearest])
