"""Run by Blender's Python: opens files of objects, each alone, and tells what came of each."""

import json
import sys
from pathlib import Path

import bpy
import mathutils

IMPORTERS = {
    ".glb": lambda path: bpy.ops.import_scene.gltf(filepath=path),
    ".obj": lambda path: bpy.ops.wm.obj_import(filepath=path),
    ".usdz": lambda path: bpy.ops.wm.usd_import(filepath=path),
    ".stl": lambda path: bpy.ops.wm.stl_import(filepath=path, forward_axis="Y", up_axis="Z"),
    ".ply": lambda path: bpy.ops.wm.ply_import(filepath=path, forward_axis="Y", up_axis="Z"),
}


def read(path: str) -> dict:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    IMPORTERS[Path(path).suffix](path)
    (one,) = [found for found in bpy.data.objects if found.type == "MESH"]
    bpy.context.view_layer.update()
    corners = [one.matrix_world @ mathutils.Vector(corner) for corner in one.bound_box]
    nodes = [node for slot in one.material_slots for node in slot.material.node_tree.nodes]
    surface = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
    images = [node for node in nodes if node.type == "TEX_IMAGE" and node.image]
    coloured = next(
        (
            node
            for node in images
            if surface
            and any(
                link.to_node == surface and link.to_socket.name == "Base Color" for link in node.outputs["Color"].links
            )
        ),
        None,
    )
    return {
        "low": [min(corner[axis] for corner in corners) for axis in range(3)],
        "high": [max(corner[axis] for corner in corners) for axis in range(3)],
        "triangles": len(one.data.polygons),
        "base_color": None if coloured is None else mean_color(coloured.image),
        "color_space": coloured and coloured.image.colorspace_settings.name,
        "metallic": surface and surface.inputs["Metallic"].default_value,
        "vertex_colors": [attribute.name for attribute in one.data.color_attributes],
    }


def mean_color(image: bpy.types.Image) -> list[float]:
    """Of the pixels that are not black, which are between the charts."""
    pixels = list(image.pixels)
    seen = [pixels[i : i + 3] for i in range(0, len(pixels), 4) if sum(pixels[i : i + 3]) > 0.1]
    return [sum(pixel[channel] for pixel in seen) / len(seen) for channel in range(3)]


print("TOLD", json.dumps({Path(path).suffix: read(path) for path in sys.argv[1:]}))
