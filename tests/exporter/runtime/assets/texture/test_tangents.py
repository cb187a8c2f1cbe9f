from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.assets.texture.tangents import seen_from, vertex_tangents

SQUARE = np.float32([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])
UP = np.tile(np.float32([0, 0, 1]), (4, 1))


@pytest.mark.parametrize("turn", [0, 30, 135, 250])
@pytest.mark.parametrize("mirrored", [False, True])
def test_tangent_and_bitangent_point_right_and_up_in_the_picture(turn, mirrored):
    angle = np.radians(turn)
    right = np.array([np.cos(angle), np.sin(angle), 0])
    up = np.array([-np.sin(angle), np.cos(angle), 0]) * (-1 if mirrored else 1)
    uv = np.stack([SQUARE @ right, -(SQUARE @ up)], axis=1).astype(np.float32) * 0.3
    made = vertex_tangents(SQUARE, UP, uv, FACES)
    assert np.allclose(made[:, :3], right, atol=1e-6)
    assert np.allclose(made[:, 3:] * np.cross(UP, made[:, :3]), up, atol=1e-6)


def test_tangents_are_unit_and_at_right_angles_even_where_the_picture_has_no_area():
    normals = np.random.default_rng(0).normal(size=(4, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    made = vertex_tangents(SQUARE, normals, np.zeros((4, 2), np.float32), FACES)
    assert np.allclose(np.linalg.norm(made[:, :3], axis=1), 1, atol=1e-6)
    assert np.abs(np.einsum("vc,vc->v", made[:, :3], normals)).max() < 1e-6
    assert set(made[:, 3]) <= {-1.0, 1.0}


def test_what_a_shader_makes_of_a_seen_normal_is_the_normal():
    draw = np.random.default_rng(1)
    normal, frame, tangent = (draw.normal(size=(50, 3)).astype(np.float32) for _ in range(3))
    normal, frame, tangent = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (normal, frame, tangent))
    sign = np.where(np.arange(50) % 2, 1.0, -1.0)[:, None].astype(np.float32)
    seen = seen_from(normal, frame, np.hstack([tangent, sign]))
    shaded = seen[:, :1] * tangent + seen[:, 1:2] * sign * np.cross(frame, tangent) + seen[:, 2:] * frame
    shaded /= np.linalg.norm(shaded, axis=1, keepdims=True)
    assert np.abs(shaded - normal).max() < 1e-4
