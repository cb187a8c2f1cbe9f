"""Distances between surfaces and volumes against closed forms."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from validate.ladder.images import psnr
from validate.ladder.meshes import chamfer_distance, sample_surface, volume_iou

NOTHING = SimpleNamespace(vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), dtype=int))


def ball(radius: float, subdivisions: int = 4) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)


def test_samples_lie_on_the_surface_and_spread_by_area() -> None:
    samples = sample_surface(trimesh.creation.box((2, 1, 1)), 20_000)
    assert np.allclose(np.abs(samples.points / [1, 0.5, 0.5]).max(1), 1)
    ends = (np.abs(samples.points[:, 0]) > 1 - 1e-9).mean()
    assert ends == pytest.approx(2 / 10, abs=0.01)
    again = sample_surface(trimesh.creation.box((2, 1, 1)), 20_000)
    assert np.array_equal(samples.points, again.points)


def test_chamfer_of_a_surface_with_itself_is_zero_even_if_cut_up_otherwise() -> None:
    box = trimesh.creation.box((1, 1, 1))
    fine = box.subdivide().subdivide()
    assert chamfer_distance(box, box) == pytest.approx(0, abs=1e-9)
    assert chamfer_distance(box, fine) < 5e-5


def test_chamfer_of_two_balls_is_the_difference_of_radii() -> None:
    assert chamfer_distance(ball(0.5), ball(0.52)) == pytest.approx(0.02, rel=0.02)
    shifted = ball(0.5).apply_translation([0.1, 0, 0])
    assert chamfer_distance(ball(0.5), shifted) == pytest.approx(0.05, rel=0.1)
    assert chamfer_distance(ball(0.5), shifted) == pytest.approx(chamfer_distance(shifted, ball(0.5)))


def test_chamfer_with_nothing() -> None:
    assert chamfer_distance(NOTHING, NOTHING) == 0
    assert chamfer_distance(ball(0.5), NOTHING) == float("inf")
    with pytest.raises(ValueError, match="without area"):
        sample_surface(SimpleNamespace(vertices=np.zeros((3, 3)), faces=np.array([[0, 1, 2]])), 5)


def test_volume_iou() -> None:
    first, second = np.zeros((2, 4, 4, 4), dtype=bool)
    assert volume_iou(first, second) == 1
    first[:2], second[1:3] = True, True
    assert volume_iou(first, second) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="share a grid"):
        volume_iou(first, second[:2])


def test_psnr() -> None:
    picture = np.full((4, 4, 3), 0.5)
    assert psnr(picture, picture) == float("inf")
    assert psnr(picture, picture + 0.01) == pytest.approx(40)
    assert np.isnan(psnr(picture, picture * np.nan))
    with pytest.raises(ValueError, match="one shape"):
        psnr(picture, picture[:2])
