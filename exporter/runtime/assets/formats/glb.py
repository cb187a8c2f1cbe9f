"""Binary glTF: y up, metres."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import trimesh
from PIL import Image
from trimesh.exchange.gltf import export_glb

from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import Mesh, srgb_to_linear
from exporter.runtime.assets.placing import y_up
from exporter.runtime.assets.texture.texture import Texture

ROUGHNESS = 0.9
MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": ROUGHNESS}}


def to_glb(mesh: Mesh) -> bytes:
    """A binary glTF with normals, float vertex colours and a matte material."""
    body = trimesh.Trimesh(y_up(mesh.vertices), mesh.faces, vertex_normals=y_up(mesh.vertex_normals()), process=False)
    body.vertex_attributes["_linear_color"] = srgb_to_linear(mesh.colors).astype(np.float32)
    glb = export_glb(trimesh.Scene(body), include_normals=True, tree_postprocessor=_color_by_vertex)
    return cast(bytes, glb)


def to_textured_glb(mesh: Mesh, texture: Texture, label: Label) -> bytes:
    """The same with a base colour and a normal map inside, named by the prompt; `asset.extras` says what made it.

    The vertex colours are the attribute `_COLOR_0`: a COLOR_0 would be multiplied with the base colour.
    """
    material = trimesh.visual.material.PBRMaterial(
        name=label.prompt,
        baseColorTexture=Image.fromarray(texture.base_color),
        normalTexture=None if texture.normal_map is None else Image.fromarray(texture.normal_map),
        metallicFactor=0.0,
        roughnessFactor=ROUGHNESS,
        doubleSided=False,
    )
    # trimesh counts v upwards.
    places = texture.uv * [1, -1] + [0, 1]
    body = trimesh.Trimesh(
        y_up(mesh.vertices)[texture.vertices],
        texture.faces,
        vertex_normals=y_up(texture.normals),
        visual=trimesh.visual.TextureVisuals(uv=places, material=material),
        process=False,
    )
    colors = srgb_to_linear(mesh.colors[texture.vertices])
    body.vertex_attributes["_COLOR_0"] = colors.astype(np.float32)
    body.vertex_attributes["_TANGENT"] = np.hstack([y_up(texture.tangents[:, :3]), texture.tangents[:, 3:]])

    def finish(tree: dict[str, Any]) -> None:
        tree["asset"]["extras"] = label.to_dict() | {"unit": "metre"}
        for part in tree["meshes"]:
            for primitive in part["primitives"]:
                primitive["attributes"]["TANGENT"] = primitive["attributes"].pop("_TANGENT")

    scene = trimesh.Scene()
    scene.add_geometry(body, node_name=label.prompt, geom_name=label.prompt)
    return cast(bytes, export_glb(scene, include_normals=True, tree_postprocessor=finish))


def _color_by_vertex(tree: dict[str, Any]) -> None:
    tree["materials"] = [MATERIAL]
    for part in tree["meshes"]:
        for primitive in part["primitives"]:
            primitive["attributes"]["COLOR_0"] = primitive["attributes"].pop("_linear_color")
            primitive["material"] = 0
