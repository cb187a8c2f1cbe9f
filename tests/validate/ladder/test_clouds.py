"""Distances between clouds of points against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.runtime.assets.points import PointCloud
from validate.ladder.clouds import color_psnr, points_distance


def grid(shift=(0.0, 0.0, 0.0), shade=0.5):
    places = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3) + shift
    return PointCloud(places, np.full_like(places, shade))


def test_a_shift_is_as_far_as_it_is_long():
    assert points_distance(grid(), grid()) == 0.0
    assert points_distance(grid(), grid((0.1, 0.0, 0.0))) == pytest.approx(0.1)


def test_the_order_of_points_does_not_matter_and_a_missing_part_does():
    whole = grid()
    turned = PointCloud(whole.positions[::-1], whole.colors[::-1])
    assert points_distance(whole, turned) == 0.0 and color_psnr(whole, turned) == np.inf
    half = PointCloud(whole.positions[:32], whole.colors[:32])
    assert points_distance(whole, half) == points_distance(half, whole) > 0.2


def test_colours_are_compared_with_those_of_the_nearest():
    assert color_psnr(grid(), grid((0.1, 0.0, 0.0), shade=0.6)) == pytest.approx(20.0)


def test_of_points_at_one_place_those_of_the_same_number_are_compared():
    places, shades = np.zeros((6, 3)), np.linspace(0, 1, 6)[:, None].repeat(3, axis=1)
    cloud = PointCloud(places, shades)
    assert color_psnr(cloud, PointCloud(places + 1e-8, shades)) == np.inf
    assert color_psnr(cloud, PointCloud(places, shades[::-1])) < 10.0


def test_what_is_no_number_is_as_far_as_can_be():
    broken = grid()
    broken.positions[3] = np.nan
    assert points_distance(grid(), broken) == np.inf and np.isnan(color_psnr(grid(), broken))
