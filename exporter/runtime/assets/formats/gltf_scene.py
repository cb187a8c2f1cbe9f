"""What the binary and the textual form of glTF have in common: y up, metres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from exporter.runtime.assets.formats.matte import METALLIC, ROUGHNESS
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import srgb_to_linear
from exporter.runtime.assets.placing import Placed
from exporter.runtime.assets.texture.texture import Texture

NAME = "mesh"


def gltf_scene(placed: Placed, label: Label | None) -> tuple[trimesh.Scene, Callable[[dict[str, Any]], None]]:
    """A scene with normals and a matte material, its colours in a texture or else in the vertices, for trimesh's
    exporters; and what is then to be done to the tree that they make.

    Without a material the surface is a metal's (glTF 2.0, 3.9), a quarter as bright under a light from the front and
    black under an ambient one. trimesh as a reader finds the colours of vertices beside one in the attributes of its
    visual, or as a mesh's own with `skip_materials=True`.
    """
    return _textured(placed, placed.texture, label) if placed.texture else _with_vertex_colors(placed)


def _with_vertex_colors(placed: Placed) -> tuple[trimesh.Scene, Callable[[dict[str, Any]], None]]:
    body = trimesh.Trimesh(placed.vertices, placed.faces, vertex_normals=placed.normals, process=False)
    body.vertex_attributes["_linear_color"] = srgb_to_linear(placed.colors).astype(np.float32)
    return trimesh.Scene(body), _color_by_vertex


def _color_by_vertex(tree: dict[str, Any]) -> None:
    tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": METALLIC, "roughnessFactor": ROUGHNESS}}]
    for part in tree["meshes"]:
        for primitive in part["primitives"]:
            primitive["material"] = 0
            primitive["attributes"]["COLOR_0"] = primitive["attributes"].pop("_linear_color")


def _textured(
    placed: Placed, texture: Texture, label: Label | None
) -> tuple[trimesh.Scene, Callable[[dict[str, Any]], None]]:
    """Named by the prompt; `asset.extras` says what made it.

    The vertex colours are the attribute `_COLOR_0`: a COLOR_0 would be multiplied with the base colour.
    """
    name = label.prompt if label else NAME
    material = trimesh.visual.material.PBRMaterial(
        name=name,
        baseColorTexture=Image.fromarray(texture.base_color),
        normalTexture=None if texture.normal_map is None else Image.fromarray(texture.normal_map),
        metallicFactor=METALLIC,
        roughnessFactor=ROUGHNESS,
        doubleSided=False,
    )
    # trimesh counts v upwards.
    places = texture.uv * [1, -1] + [0, 1]
    body = trimesh.Trimesh(
        placed.vertices[texture.vertices],
        texture.faces,
        vertex_normals=texture.normals,
        visual=trimesh.visual.TextureVisuals(uv=places, material=material),
        process=False,
    )
    colors = srgb_to_linear(placed.colors[texture.vertices])
    body.vertex_attributes["_COLOR_0"] = colors.astype(np.float32)
    body.vertex_attributes["_TANGENT"] = texture.tangents

    def finish(tree: dict[str, Any]) -> None:
        tree["asset"]["extras"] = (label.to_dict() if label else {}) | {"unit": "metre"}
        for part in tree["meshes"]:
            for primitive in part["primitives"]:
                primitive["attributes"]["TANGENT"] = primitive["attributes"].pop("_TANGENT")

    scene = trimesh.Scene()
    scene.add_geometry(body, node_name=name, geom_name=name)
    return scene, finish
