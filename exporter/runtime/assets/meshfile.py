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
from exporter.runtime.assets.placing import y_up

SUFFIXES = (".glb", ".obj", ".ply")


def save_mesh(mesh: Mesh, path: Path) -> None:
    """Writes a mesh whole or not at all, in the format of the suffix.

    Axes and colours are what readers of the format expect, so that an object stands upright in each: GLB is y-up with
    linear vertex colours, as glTF wants it; OBJ is y-up and PLY z-up, as Blender's importers take them by default, both
    with sRGB vertex colours. Raises RecipeError for another suffix, EnvironmentProblem when the disk is full.
    """
    require_mesh_suffix(path)
    suffix = path.suffix.lower()
    write_atomically(path, to_glb(mesh) if suffix == ".glb" else _to_text_format(mesh, suffix))


def require_mesh_suffix(path: Path) -> None:
    """Raises RecipeError that lists the formats when a path ends otherwise."""
    if path.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"{path}: no mesh format ends in '{path.suffix}'; {did_you_mean(path.suffix, SUFFIXES)}")


def to_glb(mesh: Mesh) -> bytes:
    """A binary glTF with normals and float vertex colours.

    It has no material: beside one, readers such as trimesh take the vertex colours for something else, and what they
    write in another format has none.
    """
    body = trimesh.Trimesh(y_up(mesh.vertices), mesh.faces, vertex_normals=y_up(mesh.vertex_normals()), process=False)
    body.vertex_attributes["_linear_color"] = srgb_to_linear(mesh.colors).astype(np.float32)
    glb = export_glb(trimesh.Scene(body), include_normals=True, tree_postprocessor=_name_colors)
    return cast(bytes, glb)


def _name_colors(tree: dict[str, Any]) -> None:
    for part in tree["meshes"]:
        for primitive in part["primitives"]:
            primitive["attributes"]["COLOR_0"] = primitive["attributes"].pop("_linear_color")


def _to_text_format(mesh: Mesh, suffix: str) -> bytes:
    colors = np.round(mesh.colors * 255.0).astype(np.uint8)
    vertices = y_up(mesh.vertices) if suffix == ".obj" else mesh.vertices
    body = trimesh.Trimesh(vertices, mesh.faces, vertex_colors=colors, process=False)
    written = body.export(file_type=suffix[1:])
    return written.encode() if isinstance(written, str) else cast(bytes, written)
