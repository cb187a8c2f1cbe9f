"""Meshes to files, in the format of the suffix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import RecipeError, did_you_mean
from exporter.files.atomic import write_atomically
from exporter.runtime.assets.formats.compressed_glb import to_compressed_glb
from exporter.runtime.assets.formats.glb import to_glb
from exporter.runtime.assets.formats.gltf import to_gltf
from exporter.runtime.assets.formats.obj import to_obj
from exporter.runtime.assets.formats.ply import to_ply
from exporter.runtime.assets.formats.stl import to_stl
from exporter.runtime.assets.formats.threemf import to_3mf
from exporter.runtime.assets.formats.usd import to_usda, to_usdz
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.optional import require
from exporter.runtime.assets.placing import Placed, Up, extent, place
from exporter.runtime.assets.texture.texture import Texture

Write = Callable[[Placed, Label | None, str], dict[str, bytes]]
METRE, MILLIMETRE = 1.0, 0.001
# The longest side of what is printed; the model has no scale of its own.
PRINTED = 0.1


@dataclass(frozen=True)
class Format:
    """How a suffix is written: placed, labelled and named, as files by name, the one of the suffix last.

    up: the axis that points up by habit or, `up_is_fixed`, by the format's specification; unit in metres; size: the
    longest side in metres where nothing else is wanted, None for a metre a unit of the model; package: what it needs;
    compressed: how it is written in fewer bytes, None where the format has no such way.
    """

    write: Write
    up: Up
    up_is_fixed: bool = False
    textured: bool = False
    unit: float = METRE
    size: float | None = None
    package: str | None = None
    compressed: Write | None = None


FORMATS = {
    ".glb": Format(to_glb, up="y", up_is_fixed=True, textured=True, compressed=to_compressed_glb),
    ".gltf": Format(to_gltf, up="y", up_is_fixed=True, textured=True),
    ".obj": Format(to_obj, up="y", textured=True),
    ".ply": Format(to_ply, up="z"),
    ".stl": Format(to_stl, up="z", unit=MILLIMETRE, size=PRINTED),
    ".3mf": Format(to_3mf, up="z", up_is_fixed=True, unit=MILLIMETRE, size=PRINTED, package="lib3mf"),
    ".usda": Format(to_usda, up="y", textured=True, package="pxr"),
    ".usdz": Format(to_usdz, up="y", textured=True, package="pxr"),
}


def save_mesh(
    mesh: Mesh,
    path: Path,
    texture: Texture | None = None,
    label: Label | None = None,
    size: float | None = None,
    up: Up | None = None,
    compress: bool = False,
) -> list[Path]:
    """Writes the files of `mesh_files`, each whole or not at all; gives their paths, the one of the suffix first; it is
    written last, when what it names is there.

    Raises as `mesh_files`, and EnvironmentProblem when the disk is full.
    """
    files = mesh_files(mesh, path, texture, label, size, up, compress)
    for file, content in reversed(files.items()):
        write_atomically(file, content)
    return list(files)


def mesh_files(
    mesh: Mesh,
    path: Path,
    texture: Texture | None = None,
    label: Label | None = None,
    size: float | None = None,
    up: Up | None = None,
    compress: bool = False,
) -> dict[Path, bytes]:
    """A mesh that is not empty in the format of the suffix: contents by path, that of the suffix first.

    Axes and colours are what readers of the format expect: STL and 3MF are in millimetres, the others in metres;
    vertex colours are linear in glTF and USD, sRGB elsewhere. `texture`: what was baked for this mesh. `size`: the
    longest side in metres; without it 100 mm in STL and 3MF, and a metre a unit of the model elsewhere. `up`: another
    axis than the format's; `compress`: quantized, and in as few bytes as readers of the format take. Raises RecipeError
    for another suffix, a texture, an axis or a compression that the format does not have; EnvironmentProblem when a
    package is missing.
    """
    write = chosen_writer(path, compress)
    form = FORMATS[path.suffix.lower()]
    if texture and not form.textured:
        raise RecipeError(f"{path}: a '{path.suffix}' file carries no texture; {', '.join(textured_suffixes())} do")
    placed = place(mesh, texture, chosen_up(path, up), metres_per_unit(path, mesh, size) / form.unit)
    files = {path.with_name(name): content for name, content in write(placed, label, path.name).items()}
    return {path: files.pop(path), **files}


def metres_per_unit(path: Path, mesh: Mesh, size: float | None) -> float:
    """How long a unit of the model is in a file, its longest side `size` metres or what the format has for None."""
    size = size or FORMATS[path.suffix.lower()].size
    return 1.0 if size is None or mesh.is_empty else size / float(extent(mesh).max())


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
    """Raises RecipeError that lists the formats when a path ends otherwise, EnvironmentProblem that names the extra
    where a package for the format is missing."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise RecipeError(f"{path}: no mesh format ends in '{path.suffix}'; {did_you_mean(suffix, FORMATS)}")
    if package := FORMATS[suffix].package:
        require(package)


def chosen_writer(path: Path, compress: bool = False) -> Write:
    """How a mesh becomes the file of a suffix. Raises as `require_mesh_suffix`, RecipeError where the format is not
    compressed, and EnvironmentProblem that names the extra where the package for that is missing."""
    require_mesh_suffix(path)
    form = FORMATS[path.suffix.lower()]
    if not compress:
        return form.write
    if form.compressed is None:
        ways = ", ".join(suffix for suffix, other in FORMATS.items() if other.compressed)
        raise RecipeError(f"{path}: a '{path.suffix}' file is not written compressed; {ways} is")
    require("meshopt")
    return form.compressed
