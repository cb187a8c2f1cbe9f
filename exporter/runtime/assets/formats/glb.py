"""Binary glTF, one file."""

from __future__ import annotations

from typing import cast

from trimesh.exchange.gltf import export_glb

from exporter.runtime.assets.formats.gltf_scene import gltf_scene
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.placing import Placed


def to_glb(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """The file, with its pictures inside."""
    scene, finish = gltf_scene(placed, label)
    return {name: cast(bytes, export_glb(scene, include_normals=True, tree_postprocessor=finish))}
