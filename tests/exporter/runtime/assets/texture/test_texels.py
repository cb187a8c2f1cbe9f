from __future__ import annotations

import numpy as np

from exporter.runtime.assets.texture.texels import texels_of

UV = np.float32([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def centres(texels):
    return np.stack([texels.pixel % texels.size, texels.pixel // texels.size], axis=1) / texels.size + 0.5 / texels.size


def test_a_pixel_shows_the_point_under_its_centre():
    texels = texels_of(UV, HALVES, 40)
    assert np.allclose(texels.at(HALVES, UV), centres(texels), atol=1e-6)
    assert len(texels.pixel) == 32 * 32


def test_pixels_of_either_winding_are_shown():
    turned = texels_of(UV, HALVES[:, ::-1], 40)
    assert np.array_equal(turned.pixel, texels_of(UV, HALVES, 40).pixel)


def test_a_triangle_without_area_shows_nothing():
    assert len(texels_of(UV, np.array([[0, 0, 1], [2, 2, 2]]), 40).pixel) == 0


def test_a_pixel_that_shows_nothing_takes_the_nearest():
    texels = texels_of(UV, HALVES, 40)
    picture = texels.picture(np.round(centres(texels) * 40).astype(np.int16))
    rows, columns = np.mgrid[:40, :40]
    expected = np.stack([np.clip(columns, 4, 35), np.clip(rows, 4, 35)], axis=-1) + 0.5
    assert np.abs(picture - expected).max() <= 0.5
