from __future__ import annotations

import time

import numpy as np
import pytest

from exporter.runtime.assets.cameras import orbit_camera
from exporter.runtime.assets.mesh import Mesh, empty_mesh
from exporter.runtime.assets.rasterize import DISTANCE, LIGHT, render_mesh
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import ball, torus, union


def painted(mesh: Mesh, color) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces, np.tile(np.float32(color), (len(mesh.vertices), 1)))


def ray_traced(mesh: Mesh, azimuth: float, elevation: float, size: int) -> np.ndarray:
    """The same picture by rays through the pixel centres, without anti-aliasing."""
    camera = orbit_camera(azimuth, elevation, DISTANCE)
    steps = ((np.arange(size) + 0.5) / size * 2 - 1) * np.tan(0.35)
    across, down = np.tile(steps, size)[:, None], np.repeat(steps, size)[:, None]
    directions = camera.z + camera.x * across + camera.y * down
    rays, faces, weights = first_hits(camera.origin, directions, mesh.vertices[mesh.faces].astype(float))
    corners = mesh.faces[faces]
    normals = np.einsum("pk,pkc->pc", weights, mesh.vertex_normals()[corners])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    color = np.einsum("pk,pkc->pc", weights, mesh.colors[corners])
    image = np.ones((size * size, 3))
    image[rays] = color * (0.55 + 0.45 * np.maximum(normals @ LIGHT, 0))[:, None]
    return image.reshape(size, size, 3)


def first_hits(origin, directions, triangles):
    """Möller and Trumbore: which rays hit, the nearest triangle of each, and the weights of its corners there."""
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(directions[:, None], second[None])
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / (across * first).sum(axis=-1)
        offset = origin - triangles[:, 0]
        u = (across * offset).sum(axis=-1) * scale
        turned = np.cross(offset, first)
        v = directions @ turned.T * scale
        distance = (turned * second).sum(axis=-1) * scale
    distance = np.where((u >= 0) & (v >= 0) & (u + v <= 1), distance, np.inf)
    faces = distance.argmin(axis=1)
    hit = np.flatnonzero(np.isfinite(distance.min(axis=1)))
    u, v = u[hit, faces[hit]], v[hit, faces[hit]]
    return hit, faces[hit], np.stack([1 - u - v, u, v], axis=1)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 20), (45, 45), (250, -30)])
def test_it_is_the_picture_that_rays_make(azimuth, elevation):
    mesh = extract_mesh(union(torus, ball(0.25, (0.1, -0.6, 0.4))), 20)
    made = render_mesh(mesh, [azimuth], elevation, 24)[0] / 255
    expected = ray_traced(mesh, azimuth, elevation, 48).reshape(24, 2, 24, 2, 3).mean(axis=(1, 3))
    assert np.abs(made - expected).max() < 0.01


def test_the_nearer_surface_hides_the_farther():
    near, far = (
        painted(extract_mesh(ball(0.3, (0, -0.5, 0)), 32), [1, 0, 0]),
        painted(extract_mesh(ball(0.3, (0, 0.5, 0)), 32), [0, 0, 1]),
    )
    both = Mesh(
        np.concatenate([near.vertices, far.vertices]),
        np.concatenate([near.faces, far.faces + len(near.vertices)]),
        np.concatenate([near.colors, far.colors]),
    )
    front, back = render_mesh(both, [0, 180], 0, 32)[:, 16, 16]
    assert front[0] > 100 and front[2] == 0
    assert back[2] > 100 and back[0] == 0


def test_up_is_up_and_right_is_right():
    up = render_mesh(painted(extract_mesh(ball(0.2, (0, 0, 0.7)), 32), [0, 0, 0]), [0], 0, 32)[0]
    right = render_mesh(painted(extract_mesh(ball(0.2, (0.7, 0, 0)), 32), [0, 0, 0]), [0], 0, 32)[0]
    rows, _ = np.nonzero(up[..., 0] < 128)
    _, columns = np.nonzero(right[..., 0] < 128)
    assert rows.max() < 14 and columns.min() > 18


def test_the_background_and_an_empty_mesh_are_white():
    assert (render_mesh(extract_mesh(ball(0.3), 16), [0], 0, 32)[0, 0, 0] == 255).all()
    assert (render_mesh(empty_mesh(), [0, 90], 0, 8) == 255).all()


def test_it_is_deterministic_and_quick():
    mesh = extract_mesh(torus, 64)
    first = render_mesh(mesh, [45, 135, 225, 315], 45, 96)
    assert first.shape == (4, 96, 96, 3) and first.dtype == np.uint8
    taken = []
    for _ in range(5):
        started = time.process_time()
        assert np.array_equal(first, render_mesh(mesh, [45, 135, 225, 315], 45, 96))
        taken.append(time.process_time() - started)
    assert min(taken) < 0.15
