"""A mesh cut into charts that lie side by side in a square, by xatlas."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.optional import optional

# Between charts, so that neither bilinear filtering nor the first levels of a mipmap mix them.
GUTTER_PIXELS = 4


class Unwrapped(NamedTuple):
    """vertices int32 [W]: which of the mesh each is; faces int32 [F, 3], as the mesh's; uv float32 [W, 2]."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    charts: int


def unwrap(mesh: Mesh, size: int) -> Unwrapped:
    """Places of a mesh's vertices in a picture of size² pixels, v downwards. The same mesh gives the same places.

    Seconds: about 0.6 at 10,000 triangles, 2 at 20,000. Raises EnvironmentProblem without xatlas.
    """
    xatlas = optional("xatlas")
    atlas = xatlas.Atlas()
    atlas.add_mesh(mesh.vertices, mesh.faces.astype(np.uint32))
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding, packing.bilinear = size, GUTTER_PIXELS, True
    atlas.generate(xatlas.ChartOptions(), packing)
    vertices, faces, uv = atlas[0]
    # xatlas takes the resolution for a guess and packs a rectangle: the longer side is fitted to the picture.
    sides = np.array([atlas.width, atlas.height], np.float32)
    uv = uv * (sides / sides.max())
    _place_what_has_no_chart(vertices, faces, uv)
    return Unwrapped(vertices.astype(np.int32), faces.astype(np.int32), uv, atlas.chart_count)


def _place_what_has_no_chart(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> None:
    """xatlas leaves triangles of hardly any area at (0, 0), which another chart may show: each gets the one point that
    a neighbour's chart has for its first corner."""
    left_out = (uv[faces] == 0).all(axis=(1, 2))
    charted = faces[~left_out].reshape(-1)
    place = np.zeros(int(vertices.max()) + 1, np.int64)
    place[vertices[charted]] = charted
    uv[faces[left_out]] = uv[place[vertices[faces[left_out][:, :1]]]]
