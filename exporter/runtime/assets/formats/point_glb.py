"""Points in binary glTF, written here: trimesh gives them a black material and colours in 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.runtime.assets.formats.glb_container import pack_glb
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import srgb_to_linear

if TYPE_CHECKING:
    from exporter.runtime.assets.points import PointCloud

POINTS, FLOAT, ARRAY_BUFFER = 0, 5126, 34962


def to_point_glb(cloud: PointCloud, label: Label | None) -> bytes:
    """The file of points with y up: linear colours, no material, which leaves them unlit as they have no normals."""
    positions, colors = cloud.positions.astype("<f4"), srgb_to_linear(cloud.colors).astype("<f4")
    count, length = len(positions), positions.nbytes
    bounds = {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
    accessor = {"componentType": FLOAT, "count": count, "type": "VEC3"}
    view = {"buffer": 0, "byteLength": length, "target": ARRAY_BUFFER}
    tree = {
        "asset": {
            "version": "2.0",
            "generator": "t3export",
            "extras": (label.to_dict() if label else {}) | {"unit": "metre"},
        },
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 1}, "mode": POINTS}]}],
        "accessors": [accessor | {"bufferView": 0} | bounds, accessor | {"bufferView": 1}],
        "bufferViews": [view | {"byteOffset": 0}, view | {"byteOffset": length}],
        "buffers": [{"byteLength": 2 * length}],
    }
    return pack_glb(tree, positions.tobytes() + colors.tobytes())
