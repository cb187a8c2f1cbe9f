from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.assets.solid.simplify import simplify
from exporter.runtime.assets.texture.bake import SIZES, bake, size_for
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import ball, torus

DENSE = extract_mesh(torus, 64)
MESH = simplify(DENSE, 600, torus.color)
TEXTURE = bake(MESH, torus.color, 512, DENSE)


def surface_samples(count=4000):
    """Places (face, weights) on the mesh, corners and seams among them."""
    draw = np.random.default_rng(0)
    weights = draw.dirichlet([0.3] * 3, count)
    return draw.integers(0, len(MESH.faces), count), weights


def at(values, faces, face, weights):
    return np.einsum("sk,skc->sc", weights, values[faces[face]])


def looked_up(picture, uv):
    """Bilinear, as a viewer does it."""
    x, y = np.clip(uv * len(picture) - 0.5, 0, len(picture) - 1).T
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = np.minimum(left + 1, len(picture) - 1), np.minimum(top + 1, len(picture) - 1)
    dx, dy = (x - left)[:, None], (y - top)[:, None]
    upper = picture[top, left] * (1 - dx) + picture[top, right] * dx
    lower = picture[below, left] * (1 - dx) + picture[below, right] * dx
    return (upper * (1 - dy) + lower * dy) / 255


def test_a_viewer_sees_the_colours_of_the_field_even_at_seams():
    face, weights = surface_samples()
    points = at(MESH.vertices, MESH.faces, face, weights)
    seen = looked_up(TEXTURE.base_color, at(TEXTURE.uv, TEXTURE.faces, face, weights))
    assert np.abs(seen - torus.color(points)).max() < 0.01


def test_the_normal_map_brings_back_what_simplification_took():
    face, weights = surface_samples()
    points = at(MESH.vertices, MESH.faces, face, weights)
    ring = points * [1, 1, 0] / np.hypot(points[:, 0], points[:, 1])[:, None] * 0.6
    truth = (points - ring) / np.linalg.norm(points - ring, axis=1, keepdims=True)

    def off(normals):
        cosine = np.einsum("sc,sc->s", normals / np.linalg.norm(normals, axis=1, keepdims=True), truth)
        return np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()

    plain = at(MESH.vertex_normals()[TEXTURE.vertices], TEXTURE.faces, face, weights)
    up = at(TEXTURE.normals, TEXTURE.faces, face, weights)
    tangent = at(TEXTURE.tangents, TEXTURE.faces, face, weights)
    x, y, z = (looked_up(TEXTURE.normal_map, at(TEXTURE.uv, TEXTURE.faces, face, weights)) * 2 - 1).T[..., None]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    along = tangent[:, :3] / np.linalg.norm(tangent[:, :3], axis=1, keepdims=True)
    shaded = x * along + y * np.sign(tangent[:, 3:]) * np.cross(up, along) + z * up
    assert off(shaded) < 1.0 and off(shaded) < 0.8 * off(up) and off(shaded) < 0.4 * off(plain)


def test_without_simplification_there_is_no_normal_map():
    assert bake(extract_mesh(ball(0.3), 16), torus.color, 64).normal_map is None


@pytest.mark.parametrize(("radius", "size"), [(0.2, 256), (0.5, 512), (0.9, 1024)])
def test_the_size_suits_the_surface(radius, size):
    assert size_for(extract_mesh(ball(radius), 32)) == size in SIZES


def test_a_texture_is_the_same_every_time():
    again = bake(MESH, torus.color, 512, DENSE)
    assert np.array_equal(again.base_color, TEXTURE.base_color)
    assert np.array_equal(again.normal_map, TEXTURE.normal_map)
