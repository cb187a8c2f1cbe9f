"""Where fields and renderers are evaluated to be recorded."""

from __future__ import annotations

import numpy as np

from exporter.runtime.assets.cameras import PAN_ELEVATION, camera_rays, orbit_camera

POINTS = 4096
PICTURE = 24


def many_places(kind: str, objects: int, seed: int) -> np.ndarray:
    """Points [B, P, 3] all over the cube from -1 to 1, or rays [B, R, 2, 3] around it."""
    if kind == "field":
        points = np.random.Generator(np.random.Philox(seed)).uniform(-1, 1, (objects, POINTS, 3))
        return points.astype(np.float32)
    views = [camera_rays(orbit_camera(45.0 + 90 * i, PAN_ELEVATION, 4.0), PICTURE) for i in range(objects)]
    return np.stack(views)
