"""A texture for a mesh, its colours from the field that the mesh was made of."""

from __future__ import annotations

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.texture.atlas import unwrap
from exporter.runtime.assets.texture.detail import detail_normals
from exporter.runtime.assets.texture.tangents import seen_from, vertex_tangents
from exporter.runtime.assets.texture.texels import Texels, texels_of
from exporter.runtime.assets.texture.texture import Texture
from exporter.runtime.surface.extract import Colors, colors_at

SIZES = (256, 512, 1024)
# A pixel is no wider than this where the size is chosen by the surface: as the cells of the grid of 256.
PIXEL_WIDTH = 2 / 256
# What the charts take of the square in the worst of cases seen.
SHARE_OF_CHARTS = 0.4


def bake(mesh: Mesh, color: Colors, size: int | None = None, detail: Mesh | None = None) -> Texture:
    """The texture of a mesh that is not empty, every pixel coloured by the field at the point it shows.

    `size`: width and height in pixels, by default the one of SIZES that suits the surface's area. `detail`: the mesh
    before it was simplified; the difference becomes a normal map. Raises EnvironmentProblem without xatlas.
    """
    size = size or size_for(mesh)
    flat = unwrap(mesh, size)
    texels = texels_of(flat.uv, flat.faces, size)
    smooth = mesh.vertex_normals()
    normals = detail_normals(detail, mesh.vertices, smooth) if detail else smooth
    points, normals = mesh.vertices[flat.vertices], normals[flat.vertices]
    tangents = vertex_tangents(points, normals, flat.uv, flat.faces)
    shown = texels.at(flat.faces, points)
    return Texture(
        vertices=flat.vertices,
        faces=flat.faces,
        uv=flat.uv,
        normals=normals,
        tangents=tangents,
        base_color=texels.picture(_to_bytes(colors_at(color, shown))),
        normal_map=_normal_map(texels, flat.faces, shown, normals, tangents, detail) if detail else None,
        charts=flat.charts,
    )


def size_for(mesh: Mesh) -> int:
    """The smallest of SIZES whose pixels are narrow enough, or the largest."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    doubled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    pixels = np.linalg.norm(doubled, axis=1).sum() / 2 / PIXEL_WIDTH**2 / SHARE_OF_CHARTS
    return next((size for size in SIZES if size**2 >= pixels), SIZES[-1])


def _normal_map(
    texels: Texels, faces: np.ndarray, points: np.ndarray, normals: np.ndarray, tangents: np.ndarray, detail: Mesh
) -> np.ndarray:
    up = texels.at(faces, normals)
    seen = seen_from(detail_normals(detail, points, up), up, texels.at(faces, tangents))
    return texels.picture(_to_bytes(seen / 2 + 0.5))


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.round(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
