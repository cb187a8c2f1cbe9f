"""From the mesh of a field to the mesh of a file: its parts, its triangles, and the picture on them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import RecipeError
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.meshfile import carries_texture, textured_suffixes
from exporter.runtime.assets.optional import is_installed, require
from exporter.runtime.assets.solid.components import drop_small_components
from exporter.runtime.assets.solid.simplify import simplify
from exporter.runtime.assets.solid.watertight import make_watertight
from exporter.runtime.assets.texture.bake import bake
from exporter.runtime.assets.texture.texture import Texture
from exporter.runtime.surface.extract import Colors

# xatlas takes longer than the triangles grow; the normal map keeps what is left out.
TRIANGLES_UNDER_A_TEXTURE = 10_000
NEEDED_BY_A_TEXTURE = ("xatlas", "scipy", "fast_simplification", "manifold3d")


@dataclass(frozen=True)
class Cleaning:
    """drop_parts: components with less than this share of the volume are left out; watertight: proved to be a solid."""

    drop_parts: float = 0.0
    watertight: bool = False


def clean(mesh: Mesh, wanted: Cleaning) -> tuple[Mesh, dict[str, Any]]:
    """A mesh that is not empty without what is not wanted, and what was done to it, as JSON data.

    Raises T3Error where it cannot be made watertight, EnvironmentProblem that names the extra for that.
    """
    done: dict[str, Any] = {}
    if wanted.drop_parts:
        mesh, done["dropped_parts"] = drop_small_components(mesh, wanted.drop_parts)
    if wanted.watertight:
        mesh, closing = make_watertight(mesh)
        done["watertight"] = closing.to_dict()
    return mesh, done


@dataclass(frozen=True)
class Dressing:
    """texture: whether to bake one; size: its width and height in pixels, None by the surface.

    triangles: at most this many, None for TRIANGLES_UNDER_A_TEXTURE under a texture, else all.
    """

    texture: bool = True
    size: int | None = None
    triangles: int | None = None

    @property
    def budget(self) -> int | None:
        """The most triangles a file gets."""
        return self.triangles or (TRIANGLES_UNDER_A_TEXTURE if self.texture else None)


def chosen_dressing(path: Path, texture: bool | int = True, triangles: int | None = None) -> Dressing:
    """What becomes of a mesh on its way to a file: a texture where its format has one and it can be baked here.

    `texture`: of so many pixels whether it can be or not, False for none. Raises RecipeError for a texture of so many
    pixels in a format that has none.
    """
    size = None if isinstance(texture, bool) else texture
    if size is not None and not carries_texture(path):
        raise RecipeError(
            f"{path}: texture {size}: a '{path.suffix}' file carries no texture; allowed: "
            f"{', '.join(textured_suffixes())}"
        )
    textured = size is not None or (bool(texture) and carries_texture(path) and can_texture())
    return Dressing(textured, size, triangles)


@dataclass(frozen=True, eq=False)
class Dressed:
    """What goes into a file, and what it cost: `seconds` are those beside the field's own, `field_seconds`.

    of_triangles: how many there were before it was simplified.
    """

    mesh: Mesh
    texture: Texture | None
    of_triangles: int
    field_points: int
    seconds: float
    field_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; `texture` is None where there is none."""
        return {
            "vertices": len(self.mesh.vertices),
            "triangles": len(self.mesh.faces),
            "texture": self.texture and self._of_texture(self.texture),
        }

    def _of_texture(self, texture: Texture) -> dict[str, Any]:
        return {
            "size": texture.size,
            "charts": texture.charts,
            "normal_map": texture.normal_map is not None,
            "of_triangles": self.of_triangles,
            "field_points": self.field_points,
            "seconds": round(self.seconds, 3),
            "field_seconds": round(self.field_seconds, 3),
        }


def dress(mesh: Mesh, color: Colors, wanted: Dressing) -> Dressed:
    """Simplifies and textures a mesh that is not empty, its colours from the field.

    Raises EnvironmentProblem that names the extra where a package for it is missing.
    """
    field = _Timed(color)
    started = time.perf_counter()
    simpler = simplify(mesh, wanted.budget, field) if wanted.budget else mesh
    texture = bake(simpler, field, wanted.size, mesh if simpler is not mesh else None) if wanted.texture else None
    seconds = time.perf_counter() - started - field.seconds
    return Dressed(simpler, texture, len(mesh.faces), field.points, seconds, field.seconds)


def require_packages(cleaning: Cleaning, dressing: Dressing) -> None:
    """Raises EnvironmentProblem that names the extra where a package for these is missing."""
    wanted = {"manifold3d": cleaning.watertight, "xatlas": dressing.texture, "fast_simplification": dressing.budget}
    for package, needed in wanted.items():
        if needed:
            require(package)


def can_texture() -> bool:
    """Whether the packages that a texture needs are installed."""
    return is_installed(*NEEDED_BY_A_TEXTURE)


class _Timed:
    """A field's colours, counted and timed."""

    def __init__(self, color: Colors) -> None:
        self.color, self.points, self.seconds = color, 0, 0.0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        colors = self.color(points)
        self.seconds += time.perf_counter() - started
        self.points += len(points)
        return colors
