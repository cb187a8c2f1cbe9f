"""STL, binary: triangles and nothing else."""

from __future__ import annotations

from typing import cast

import trimesh

from exporter.runtime.assets.label import Label
from exporter.runtime.assets.placing import Placed


def to_stl(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """A binary STL; it has no colours."""
    body = trimesh.Trimesh(placed.vertices, placed.faces, process=False)
    return {name: cast(bytes, body.export(file_type="stl"))}
