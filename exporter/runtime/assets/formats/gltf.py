"""glTF as text, its arrays and pictures in a binary file beside it."""

from __future__ import annotations

import json
from pathlib import PurePath
from urllib.parse import quote

from trimesh.exchange.gltf import export_gltf

from exporter.runtime.assets.formats.gltf_scene import gltf_scene
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.placing import Placed


def to_gltf(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """chair.bin and chair.gltf."""
    scene, finish = gltf_scene(placed, label)
    made = export_gltf(scene, include_normals=True, merge_buffers=True, tree_postprocessor=finish)
    tree = json.loads(made.pop("model.gltf"))
    (arrays,) = made.values()
    beside = f"{PurePath(name).stem}.bin"
    tree["buffers"][0]["uri"] = quote(beside)
    return {beside: arrays, name: json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()}
