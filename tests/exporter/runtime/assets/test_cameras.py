from __future__ import annotations

import numpy as np
import pytest
from diffusers.pipelines.shap_e.camera import create_pan_cameras

from exporter.runtime.assets.cameras import PAN_ELEVATION, camera_rays, orbit_camera


def test_rays_are_those_of_diffusers():
    expected = create_pan_cameras(16).camera_rays.numpy().reshape(20, 256, 2, 3)
    pan = [orbit_camera(azimuth, PAN_ELEVATION, 4.0) for azimuth in np.linspace(0.0, 360.0, 20)]
    made = np.stack([camera_rays(camera, 16) for camera in pan])
    assert made.dtype == np.float32
    assert np.abs(made - expected).max() < 2e-6


@pytest.mark.parametrize("azimuth", [0, 45, 200])
@pytest.mark.parametrize("elevation", [-20, 0, 45])
def test_an_orbit_camera_looks_at_the_origin_with_z_up(azimuth, elevation):
    camera = orbit_camera(azimuth, elevation, 3.0)
    axes = np.stack([camera.x, camera.y, camera.z])
    assert np.allclose(axes @ axes.T, np.eye(3))
    assert np.allclose(camera.origin, -3.0 * camera.z)
    assert camera.y[2] < 0 and camera.x[2] == 0
    assert camera.origin[2] == pytest.approx(3.0 * np.sin(np.radians(elevation)))
