"""Meshes to files, in the format of the suffix."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import trimesh

from exporter.errors import RecipeError, did_you_mean
from exporter.files.atomic import write_atomically
from exporter.runtime.assets.formats.glb import to_glb, to_textured_glb
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.texture.texture import Texture

SUFFIXES = (".glb", ".obj", ".ply")
TEXTURED = (".glb",)


def save_mesh(mesh: Mesh, path: Path) -> None:
    """Writes a mesh whole or not at all, in the format of the suffix.

    GLB is y-up with linear vertex colours, as glTF wants it; PLY and OBJ are z-up with sRGB vertex colours, as the
    model has them. Raises RecipeError for another suffix, EnvironmentProblem when the disk is full.
    """
    require_mesh_suffix(path)
    suffix = path.suffix.lower()
    write_atomically(path, to_glb(mesh) if suffix == ".glb" else _to_text_format(mesh, suffix))


def save_textured(mesh: Mesh, texture: Texture, label: Label, path: Path) -> None:
    """Writes a mesh with the texture that was baked for it. Raises RecipeError where the format carries none."""
    require_mesh_suffix(path)
    if not carries_texture(path):
        raise RecipeError(f"{path}: a '{path.suffix}' file carries no texture; {', '.join(TEXTURED)} does")
    write_atomically(path, to_textured_glb(mesh, texture, label))


def carries_texture(path: Path) -> bool:
    """Whether the format of the suffix has textures."""
    return path.suffix.lower() in TEXTURED


def require_mesh_suffix(path: Path) -> None:
    """Raises RecipeError that lists the formats when a path ends otherwise."""
    if path.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"{path}: no mesh format ends in '{path.suffix}'; {did_you_mean(path.suffix, SUFFIXES)}")


def _to_text_format(mesh: Mesh, suffix: str) -> bytes:
    colors = np.round(mesh.colors * 255.0).astype(np.uint8)
    body = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
    written = body.export(file_type=suffix[1:])
    return written.encode() if isinstance(written, str) else cast(bytes, written)
