"""A .glb into the scene, by Blender's own importer: material, texture and axes are its business."""

from pathlib import Path
from typing import Any

import bpy


def insert(path: Path, context: bpy.types.Context) -> list[Any]:
    """The objects of a file, at the 3D cursor, selected; gives the meshes among them."""
    before = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=str(path))
    made = [one for one in bpy.data.objects if one not in before]
    for one in made:
        if one.parent is None:
            one.location = context.scene.cursor.location
    return [one for one in made if one.type == "MESH"]
