"""Which point of a surface every pixel of its picture shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from exporter.runtime.assets.barycentric import barycentric, boxed_samples
from exporter.runtime.assets.optional import optional

# Twice the area, in pixels, below which a triangle shows no pixel.
NO_AREA = 1e-9


class Texels(NamedTuple):
    """The T pixels of a picture of size² that show a surface.

    pixel int64 [T], row by row; face int64 [T]; weights float32 [T, 3] of the face's corners.
    """

    size: int
    pixel: np.ndarray
    face: np.ndarray
    weights: np.ndarray

    def at(self, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values [vertices, C] interpolated on the surface: [T, C]."""
        corners = values[faces[self.face]]
        return np.einsum("tk,tkc->tc", self.weights, corners, dtype=np.float32)

    def picture(self, values: np.ndarray) -> np.ndarray:
        """Values [T, C] as a picture [size, size, C]; a pixel that shows nothing takes the nearest one that does.

        Raises EnvironmentProblem without scipy.
        """
        sheet = np.zeros((self.size * self.size, values.shape[1]), values.dtype)
        sheet[self.pixel] = values
        bare = np.ones(self.size * self.size, bool)
        bare[self.pixel] = False
        nearest = optional("scipy.ndimage").distance_transform_edt(
            bare.reshape(self.size, self.size), return_distances=False, return_indices=True
        )
        return sheet.reshape(self.size, self.size, -1)[tuple(nearest)]


def texels_of(uv: np.ndarray, faces: np.ndarray, size: int) -> Texels:
    """The pixels whose centres lie in a triangle; uv [W, 2] with v downwards, faces [F, 3]."""
    corners = uv.astype(np.float64)[faces] * size - 0.5
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    has_area = np.flatnonzero(np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) > NO_AREA)
    shown = np.full(size * size, -1, np.int64)
    weights = np.zeros((size * size, 3), np.float32)
    for number, x, y in boxed_samples(corners[has_area], size):
        face = has_area[number]
        inside, weight = barycentric(corners[face], x, y)
        pixel = y[inside] * size + x[inside]
        shown[pixel] = face[inside]
        weights[pixel] = weight[inside]
    pixel = np.flatnonzero(shown >= 0)
    return Texels(size, pixel, shown[pixel], weights[pixel])
