"""Axes and units: a mesh has z up and is 2 wide, as the model; a file has its format's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.texture.texture import Texture

Up = Literal["y", "z"]
Y_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)


@dataclass(frozen=True, eq=False)
class Placed:
    """A mesh in the axes and units of a file: as Mesh and Texture, with unit normals float32 [V, 3]."""

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    texture: Texture | None
    up: Up


def y_up(vectors: np.ndarray) -> np.ndarray:
    """Points or directions [P, 3] with y up and x as it was."""
    return vectors @ Y_UP


def place(mesh: Mesh, texture: Texture | None, up: Up, scale: float) -> Placed:
    """A mesh with `up` upwards, `scale` of the file's units for one of the model's."""
    vertices, normals = mesh.vertices, mesh.vertex_normals()
    if up == "y":
        vertices, normals = y_up(vertices), y_up(normals)
        if texture:
            tangents = np.hstack([y_up(texture.tangents[:, :3]), texture.tangents[:, 3:]])
            texture = replace(texture, normals=y_up(texture.normals), tangents=tangents)
    return Placed(vertices * np.float32(scale), normals, mesh.faces, mesh.colors, texture, up)


def extent(mesh: Mesh) -> np.ndarray:
    """The sides [3] of the box around a mesh that is not empty, in units of the model."""
    used = mesh.vertices[mesh.faces.reshape(-1)]
    return used.max(axis=0) - used.min(axis=0)
