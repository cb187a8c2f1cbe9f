"""Pictures of a mesh: a z-buffer in numpy, two by two samples a pixel, Lambert shading, white background.

Written here because embreex has no wheel for Linux on ARM64, and OpenGL needs a display or a driver.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.runtime.assets.barycentric import barycentric, boxed_samples
from exporter.runtime.assets.cameras import FIELD_OF_VIEW, Camera, orbit_camera
from exporter.runtime.assets.mesh import Mesh

DISTANCE = 3.2
AMBIENT, DIFFUSE = 0.55, 0.45
LIGHT = np.array([1.0, -1.5, 2.5]) / np.linalg.norm([1.0, -1.5, 2.5])
SUPERSAMPLING = 2


def render_mesh(mesh: Mesh, azimuths_deg: Sequence[float], elevation_deg: float, size: int) -> np.ndarray:
    """Pictures uint8 [views, size, size, 3] of a closed mesh inside the unit sphere; white where there is nothing.

    Perspective, field of view 0.7 rad, camera 3.2 from the origin, z up. Shading in sRGB:
    color * (0.55 + 0.45 max(0, n·l)) with interpolated vertex normals n and a light l fixed in the world.
    """
    if mesh.is_empty:
        return np.full((len(azimuths_deg), size, size, 3), 255, np.uint8)
    normals = mesh.vertex_normals()
    cameras = [orbit_camera(azimuth, elevation_deg, DISTANCE) for azimuth in azimuths_deg]
    return np.stack([_render(mesh, normals, camera, size) for camera in cameras])


def shade(colors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """sRGB colours [P, 3] lit on surfaces with unit normals [P, 3]."""
    return colors * (AMBIENT + DIFFUSE * np.maximum(normals @ LIGHT, 0.0))[:, None]


def _render(mesh: Mesh, normals: np.ndarray, camera: Camera, size: int) -> np.ndarray:
    fine = size * SUPERSAMPLING
    screen, nearness = project(mesh.vertices, camera, fine)
    front = _facing(mesh.faces, screen)
    triangle, weights = _visible(front, screen, nearness, fine)

    image = np.ones((fine * fine, 3))
    hit = triangle >= 0
    corners = front[triangle[hit]]
    normal = np.einsum("pk,pkc->pc", weights[hit], normals[corners])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    color = np.einsum("pk,pkc->pc", weights[hit], mesh.colors[corners])
    image[hit] = np.clip(shade(color, normal), 0.0, 1.0)
    return averaged(image, size)


def averaged(image: np.ndarray, size: int) -> np.ndarray:
    """Samples [(size * SUPERSAMPLING)², 3] in [0, 1] as a picture uint8 [size, size, 3]."""
    samples = image.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3)
    pixels = np.einsum("iajbc->ijc", samples) / SUPERSAMPLING**2
    return np.round(pixels * 255.0).astype(np.uint8)


def project(vertices: np.ndarray, camera: Camera, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates [V, 2], integers at pixel centres, and 1 / depth [V]."""
    local = (vertices.astype(np.float64) - camera.origin) @ np.stack([camera.x, camera.y, camera.z], axis=1)
    nearness = 1.0 / local[:, 2]
    scaled = local[:, :2] * nearness[:, None] / np.tan(FIELD_OF_VIEW / 2)
    return (scaled + 1.0) * (size / 2) - 0.5, nearness


def _facing(faces: np.ndarray, screen: np.ndarray) -> np.ndarray:
    """The faces that turn their outside to the camera (clockwise on a screen whose y points down)."""
    a, b, c = (screen[faces[:, corner]] for corner in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    return faces[area < 0]


def _visible(faces: np.ndarray, screen: np.ndarray, nearness: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Per pixel [size²] the nearest face, -1 for none, and its perspective-correct weights [size², 3]."""
    depth = np.zeros(size * size)
    triangle = np.full(size * size, -1, np.int64)
    weights = np.zeros((size * size, 3))
    for face, pixel_x, pixel_y in boxed_samples(screen[faces], size):
        corners = screen[faces[face]]
        inside, weight = barycentric(corners, pixel_x, pixel_y)
        face, weight = face[inside], weight[inside]
        pixel = pixel_y[inside] * size + pixel_x[inside]
        scaled = weight * nearness[faces[face]]
        near = scaled[:, 0] + scaled[:, 1] + scaled[:, 2]
        np.maximum.at(depth, pixel, near)
        nearest = near == depth[pixel]
        triangle[pixel[nearest]] = face[nearest]
        weights[pixel[nearest]] = scaled[nearest] / near[nearest, None]
    return triangle, weights
