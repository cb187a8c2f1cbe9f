"""Points to files, in the format of the suffix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import trimesh

from exporter.errors import RecipeError, did_you_mean
from exporter.files.atomic import write_atomically
from exporter.runtime.assets.formats.point_glb import to_point_glb
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.meshfile import chosen_up
from exporter.runtime.assets.placing import Up, y_up
from exporter.runtime.assets.points import PointCloud


def to_point_ply(cloud: PointCloud, label: Label | None) -> bytes:
    """A binary PLY without faces, its sRGB colours in 8 bits."""
    colors = np.round(cloud.colors * 255.0).astype(np.uint8)
    return cast(bytes, trimesh.PointCloud(cloud.positions, colors).export(file_type="ply"))


POINT_FORMATS: dict[str, Callable[[PointCloud, Label | None], bytes]] = {".ply": to_point_ply, ".glb": to_point_glb}


def save_points(
    cloud: PointCloud, path: Path, label: Label | None = None, size: float | None = None, up: Up | None = None
) -> None:
    """Writes the file of `points_file`, whole or not at all. Raises as that, and EnvironmentProblem when the disk is
    full."""
    write_atomically(path, points_file(cloud, path, label, size, up))


def points_file(
    cloud: PointCloud, path: Path, label: Label | None = None, size: float | None = None, up: Up | None = None
) -> bytes:
    """Points in the format of the suffix: a .ply with z up, a .glb with y up.

    `size`: the longest side in metres; without it a metre is a unit of the model. `up`: another axis than the format's.
    Raises RecipeError for another suffix or an axis that the format does not have.
    """
    require_points_suffix(path)
    extent = float(np.ptp(cloud.positions, axis=0).max()) or 1.0
    positions = cloud.positions * np.float32(size / extent if size else 1.0)
    if chosen_up(path, up) == "y":
        positions = y_up(positions)
    return POINT_FORMATS[path.suffix.lower()](PointCloud(positions, cloud.colors), label)


def require_points_suffix(path: Path) -> None:
    """Raises RecipeError that lists the formats when a path ends otherwise."""
    if path.suffix.lower() not in POINT_FORMATS:
        raise RecipeError(
            f"{path}: no file of points ends in '{path.suffix}'; {did_you_mean(path.suffix.lower(), POINT_FORMATS)}"
        )
