"""The picture on a mesh, and how the mesh is cut open to lie flat in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Texture:
    """A base colour, and where the mesh was simplified the detail that it lost, for the mesh that it was baked for.

    Along seams a vertex of the mesh has more than one place in the picture: W textured vertices stand for V.
    vertices int32 [W]: the mesh's vertex of each; faces int32 [F, 3]: the mesh's faces in textured vertices;
    uv float32 [W, 2] in [0, 1], v downwards; normals float32 [W, 3], unit, of the surface before it was simplified;
    tangents float32 [W, 4], unit, towards +u, with the sign of the bitangent as glTF has it;
    base_color uint8 [S, S, 3] sRGB; normal_map uint8 [S, S, 3], +Y up in the picture, or None; charts: pieces.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    normals: np.ndarray
    tangents: np.ndarray
    base_color: np.ndarray
    normal_map: np.ndarray | None
    charts: int

    @property
    def size(self) -> int:
        """Width and height of the pictures in pixels."""
        return len(self.base_color)
