from __future__ import annotations

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.texture.detail import detail_normals
from exporter.runtime.surface.extract import extract_mesh
from tests.exporter.runtime.fields import ball, box


def test_a_balls_normals_point_away_from_its_middle():
    detail = extract_mesh(ball(0.6), 48)
    points = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    outward = points / np.linalg.norm(points, axis=1, keepdims=True)
    made = detail_normals(detail, outward * 0.58, outward)
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert np.einsum("pc,pc->p", made, outward).min() > 0.995


def test_the_other_side_of_a_thin_plate_does_not_count():
    detail = extract_mesh(box((0.6, 0.6, 0.02)), 65, exact=True)
    points = np.float32([[0.1, 0.2, 0.0], [0.2, -0.1, 0.0]])
    up = np.tile(np.float32([0, 0, 1]), (2, 1))
    assert np.allclose(detail_normals(detail, points, up), up, atol=1e-3)
    assert np.allclose(detail_normals(detail, points, -up), -up, atol=1e-3)


def test_where_nothing_faces_the_same_way_the_normal_stays():
    triangle = Mesh(np.eye(3, dtype=np.float32), np.int32([[0, 1, 2]]), np.zeros((3, 3), np.float32))
    away = np.float32([[-1, 0, 0]])
    assert np.array_equal(detail_normals(triangle, np.zeros((1, 3), np.float32), away), away)
