"""Cameras around the volume: z is up, the field of view is 0.7 rad, and at azimuth 0 the camera looks along +y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIELD_OF_VIEW = 0.7
PAN_ELEVATION = float(np.degrees(np.arctan(0.5)))


@dataclass(frozen=True, eq=False)
class Camera:
    """origin [3] and the unit axes x (right), y (down) and z (forward), float64 [3] each."""

    origin: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


def orbit_camera(azimuth_deg: float, elevation_deg: float, distance: float) -> Camera:
    """A camera that looks at the origin from `distance`; elevation PAN_ELEVATION, 4 away are diffusers' pan cameras."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    level = np.cos(elevation)
    z = np.array([np.sin(azimuth) * level, np.cos(azimuth) * level, -np.sin(elevation)])
    x = np.array([np.cos(azimuth), -np.sin(azimuth), 0.0])
    return Camera(-z * distance, x, np.cross(z, x), z)


def camera_rays(camera: Camera, size: int) -> np.ndarray:
    """Rays float32 [size * size, 2, 3] (origin, unit direction), row by row, as diffusers' `get_camera_rays`:
    the outermost pixels' centres lie on the edges of the field of view."""
    steps = np.linspace(-1.0, 1.0, size) * np.tan(FIELD_OF_VIEW / 2)
    across, down = np.tile(steps, size)[:, None], np.repeat(steps, size)[:, None]
    directions = camera.z + camera.x * across + camera.y * down
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.stack([np.broadcast_to(camera.origin, directions.shape), directions], axis=1).astype(np.float32)
