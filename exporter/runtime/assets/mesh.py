"""A coloured triangle mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices float32 [V, 3]; faces int32 [F, 3], outward; colors float32 [V, 3], sRGB in [0, 1]."""

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray

    @property
    def is_empty(self) -> bool:
        """Whether there is no triangle at all."""
        return len(self.faces) == 0

    def vertex_normals(self) -> np.ndarray:
        """Unit outward normals [V, 3], face normals weighted by area."""
        corners = self.vertices[self.faces].astype(np.float64)
        scaled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        flat = self.faces.reshape(-1)
        count = len(self.vertices)
        summed = np.stack([np.bincount(flat, np.repeat(scaled[:, axis], 3), count) for axis in range(3)], axis=1)
        length = np.linalg.norm(summed, axis=1, keepdims=True)
        return (summed / np.where(length > 0, length, 1.0)).astype(np.float32)


def empty_mesh() -> Mesh:
    """A mesh of nothing."""
    return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32))


def srgb_to_linear(color: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light, as diffusers' `_convert_srgb_to_linear`."""
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(color: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] to sRGB: the way back."""
    return np.where(color <= 0.04045 / 12.92, color * 12.92, 1.055 * color ** (1 / 2.4) - 0.055)
