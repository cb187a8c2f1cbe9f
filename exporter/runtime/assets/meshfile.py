"""Meshes to GLB, PLY and OBJ files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import trimesh
from trimesh.exchange.gltf import export_glb

from exporter.errors import RecipeError, did_you_mean
from exporter.files.atomic import write_atomically
from exporter.runtime.assets.mesh import Mesh, srgb_to_linear

SUFFIXES = (".glb", ".obj", ".ply")
MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}


def save_mesh(mesh: Mesh, path: Path) -> None:
    """Writes a mesh whole or not at all, in the format of the suffix.

    GLB is y-up with linear vertex colours, as glTF wants it; PLY and OBJ are z-up with sRGB vertex colours, as the
    model has them. Raises RecipeError for another suffix, EnvironmentProblem when the disk is full.
    """
    require_mesh_suffix(path)
    suffix = path.suffix.lower()
    write_atomically(path, to_glb(mesh) if suffix == ".glb" else _to_text_format(mesh, suffix))


def require_mesh_suffix(path: Path) -> None:
    """Raises RecipeError that lists the formats when a path ends otherwise."""
    if path.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"{path}: no mesh format ends in '{path.suffix}'; {did_you_mean(path.suffix, SUFFIXES)}")


def to_glb(mesh: Mesh) -> bytes:
    """A binary glTF with normals, float vertex colours and a matte material."""
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    body = trimesh.Trimesh(
        mesh.vertices @ upright, mesh.faces, vertex_normals=mesh.vertex_normals() @ upright, process=False
    )
    body.vertex_attributes["_linear_color"] = srgb_to_linear(mesh.colors).astype(np.float32)
    glb = export_glb(trimesh.Scene(body), include_normals=True, tree_postprocessor=_name_colors)
    return cast(bytes, glb)


def _name_colors(tree: dict[str, Any]) -> None:
    tree["materials"] = [MATERIAL]
    for part in tree["meshes"]:
        for primitive in part["primitives"]:
            primitive["attributes"]["COLOR_0"] = primitive["attributes"].pop("_linear_color")
            primitive["material"] = 0


def _to_text_format(mesh: Mesh, suffix: str) -> bytes:
    colors = np.round(mesh.colors * 255.0).astype(np.uint8)
    body = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
    written = body.export(file_type=suffix[1:])
    return written.encode() if isinstance(written, str) else cast(bytes, written)
