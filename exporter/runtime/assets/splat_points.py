"""Pictures of points: each a disc of its colour, the nearest in front, white background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.runtime.assets.cameras import FIELD_OF_VIEW, Camera, orbit_camera
from exporter.runtime.assets.points import PointCloud
from exporter.runtime.assets.rasterize import DISTANCE, SUPERSAMPLING, averaged, project

# Discs of so many points cover a closed surface of the usual size; few points are no larger than the largest.
COVER, LARGEST = 1.3, 0.1
PIXELS_AT_ONCE = 1 << 21


def render_points(cloud: PointCloud, azimuths_deg: Sequence[float], elevation_deg: float, size: int) -> np.ndarray:
    """Pictures uint8 [views, size, size, 3] from the cameras of `render_mesh`; white where there is nothing."""
    return np.stack([_render(cloud, orbit_camera(azimuth, elevation_deg, DISTANCE), size) for azimuth in azimuths_deg])


def _render(cloud: PointCloud, camera: Camera, size: int) -> np.ndarray:
    fine = size * SUPERSAMPLING
    screen, nearness = project(cloud.positions, camera, fine)
    order = np.argsort(nearness)
    screen, colors = screen[order], cloud.colors[order]
    radius = min(LARGEST, COVER / max(len(order), 1) ** 0.5)
    radii = radius * nearness[order] * fine / (2 * np.tan(FIELD_OF_VIEW / 2))
    image = np.ones((fine * fine, 3))
    reach = int(np.ceil(radii.max(initial=0.0))) + 1
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), axis=-1).reshape(-1, 2)
    at_once = max(1, PIXELS_AT_ONCE // len(offsets))
    # From far to near: what comes later lies in front.
    for start in range(0, len(order), at_once):
        part = slice(start, start + at_once)
        pixels = np.round(screen[part]).astype(np.int64)[:, None] + offsets
        inside = np.square(pixels - screen[part, None]).sum(axis=-1) <= np.square(radii[part, None])
        inside &= ((pixels >= 0) & (pixels < fine)).all(axis=-1)
        x, y = pixels[inside].T
        image[y * fine + x] = np.repeat(colors[part], inside.sum(axis=1), axis=0)
    return averaged(image, size)
