"""Meshes to files, in the format of the suffix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import RecipeError, did_you_mean
from exporter.files.atomic import write_atomically
from exporter.runtime.assets.formats.glb import to_glb
from exporter.runtime.assets.formats.obj import to_obj
from exporter.runtime.assets.formats.ply import to_ply
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.placing import Placed, Up, metres_per_unit, place
from exporter.runtime.assets.texture.texture import Texture


@dataclass(frozen=True)
class Format:
    """How a suffix is written; the axis that points up in it, by habit or, `up_is_fixed`, by its specification."""

    write: Callable[[Placed, Label | None], bytes]
    up: Up
    up_is_fixed: bool = False
    textured: bool = False


FORMATS = {
    ".glb": Format(to_glb, up="y", up_is_fixed=True, textured=True),
    ".obj": Format(to_obj, up="y"),
    ".ply": Format(to_ply, up="z"),
}


def save_mesh(
    mesh: Mesh,
    path: Path,
    texture: Texture | None = None,
    label: Label | None = None,
    size: float | None = None,
    up: Up | None = None,
) -> None:
    """Writes a mesh whole or not at all, in the format of the suffix.

    GLB is y up with linear vertex colours, as glTF wants it; OBJ is y up and PLY z up, as importers take them, both
    with sRGB vertex colours. `texture`: what was baked for this mesh. `size`: length of the longest side in metres;
    without it a unit of the model is a metre. `up`: another axis than the format's. Raises RecipeError for another
    suffix, a texture or an axis that the format does not have; EnvironmentProblem when the disk is full.
    """
    require_mesh_suffix(path)
    form = FORMATS[path.suffix.lower()]
    if texture and not form.textured:
        raise RecipeError(f"{path}: a '{path.suffix}' file carries no texture; {', '.join(textured_suffixes())} does")
    placed = place(mesh, texture, chosen_up(path, up), metres_per_unit(mesh, size))
    write_atomically(path, form.write(placed, label))


def carries_texture(path: Path) -> bool:
    """Whether the format of the suffix has textures."""
    return path.suffix.lower() in textured_suffixes()


def textured_suffixes() -> list[str]:
    """The formats with textures."""
    return [suffix for suffix, form in FORMATS.items() if form.textured]


def chosen_up(path: Path, up: Up | None) -> Up:
    """The axis that points up in a file. Raises RecipeError where the format's specification has another."""
    form = FORMATS[path.suffix.lower()]
    if up and up != form.up and form.up_is_fixed:
        free = ", ".join(suffix for suffix, other in FORMATS.items() if not other.up_is_fixed)
        raise RecipeError(f"{path}: in a '{path.suffix}' file {form.up} is up, by its specification; free in: {free}")
    return up or form.up


def require_mesh_suffix(path: Path) -> None:
    """Raises RecipeError that lists the formats when a path ends otherwise."""
    if path.suffix.lower() not in FORMATS:
        raise RecipeError(f"{path}: no mesh format ends in '{path.suffix}'; {did_you_mean(path.suffix, FORMATS)}")
