"""Pictures of points."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.assets import splat_points
from exporter.runtime.assets.cameras import orbit_camera
from exporter.runtime.assets.points import PointCloud
from exporter.runtime.assets.splat_points import render_points

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def cloud(*points):
    places, colors = zip(*points, strict=True)
    return PointCloud(np.array(places, np.float32), np.array(colors, np.float32))


def middle(picture):
    size = len(picture)
    return picture[size // 2 - 1 : size // 2 + 1, size // 2 - 1 : size // 2 + 1].reshape(-1, 3)


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 200.0])
def test_the_nearer_of_two_points_is_in_front_whatever_their_order(azimuth):
    towards = -orbit_camera(azimuth, 0.0, 1.0).z
    near, far = 0.5 * towards, -0.5 * towards
    for points in ([(near, RED), (far, BLUE)], [(far, BLUE), (near, RED)]):
        picture = render_points(cloud(*points), [azimuth], 0.0, 48)[0]
        assert (middle(picture) == [255, 0, 0]).all()
        assert (picture[0, 0] == 255).all()


def test_a_point_covers_more_where_it_is_near_and_where_points_are_few():
    def inked(*points):
        return (render_points(cloud(*points), [0.0], 0.0, 96)[0] < 128).any(axis=-1).sum()

    towards = -orbit_camera(0.0, 0.0, 1.0).z
    assert inked((0.8 * towards, RED)) > 1.5 * inked((-0.8 * towards, RED))
    hidden = [(0.0001 * i * towards, RED) for i in range(2000)]
    assert inked((np.zeros(3), RED)) > 4 * inked(*hidden)


def test_points_outside_the_picture_and_none_at_all_leave_it_white():
    outside = render_points(cloud(((0.0, 0.0, 30.0), RED)), [0.0, 90.0], 0.0, 32)
    assert outside.shape == (2, 32, 32, 3) and (outside == 255).all()
    nothing = PointCloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    assert (render_points(nothing, [0.0], 0.0, 32) == 255).all()


def test_it_does_not_depend_on_how_many_are_drawn_at_once(monkeypatch):
    drawn = np.random.default_rng(0)
    many = PointCloud(drawn.uniform(-0.5, 0.5, (300, 3)).astype(np.float32), drawn.uniform(0, 1, (300, 3)))
    expected = render_points(many, [30.0], 20.0, 48)
    monkeypatch.setattr(splat_points, "PIXELS_AT_ONCE", 1000)
    assert np.array_equal(render_points(many, [30.0], 20.0, 48), expected)
