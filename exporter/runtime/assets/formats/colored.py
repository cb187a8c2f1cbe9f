"""A mesh for trimesh, coloured by its vertices."""

from __future__ import annotations

import numpy as np
import trimesh

from exporter.runtime.assets.placing import Placed


def colored(placed: Placed) -> trimesh.Trimesh:
    """sRGB in 8 bits."""
    colors = np.round(placed.colors * 255.0).astype(np.uint8)
    return trimesh.Trimesh(placed.vertices, placed.faces, vertex_colors=colors, process=False)
