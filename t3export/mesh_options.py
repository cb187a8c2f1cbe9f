"""Options of `t3export run` that say what kind of mesh file is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from exporter.errors import RecipeError
from exporter.runtime.assets.meshfile import TEXTURED, carries_texture
from exporter.runtime.assets.postprocess import Dressing, can_texture
from t3export.output import print_note

SMALLEST_TEXTURE, LARGEST_TEXTURE = 64, 4096


@dataclass(frozen=True)
class MeshOptions:
    """texture: pixels, "none", or None where nothing was said; triangles: at most so many."""

    texture: int | str | None
    triangles: int | None

    def dressing(self, output: Path | None) -> Dressing:
        """What the file gets; a texture only where the format has one and, unless it was asked for, where it can be
        baked here. Raises RecipeError for a texture in a format without."""
        if output is None:
            return Dressing(texture=False)
        if isinstance(self.texture, int) and not carries_texture(output):
            raise RecipeError(
                f"{output}: --texture {self.texture}: a '{output.suffix}' file carries no texture; "
                f"allowed: {', '.join(TEXTURED)}"
            )
        size = self.texture if isinstance(self.texture, int) else None
        textured = self.texture != "none" and carries_texture(output)
        if textured and not size and not can_texture():
            print_note("no texture, only vertex colours, which many viewers ignore: `pip install 't3export[mesh]'`")
            textured = False
        return Dressing(textured, size, self.triangles)


class TextureSize(click.ParamType):
    """Pixels, or the word none."""

    name = "pixels|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """An int within the limits or "none"."""
        if value == "none" or isinstance(value, int):
            return value
        if value.isdecimal() and SMALLEST_TEXTURE <= int(value) <= LARGEST_TEXTURE:
            return int(value)
        self.fail(f"{value!r} is neither 'none' nor from {SMALLEST_TEXTURE} to {LARGEST_TEXTURE} pixels", param, ctx)


def mesh_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--texture and --triangles, as one argument `mesh_file`."""

    @click.option(
        "--texture",
        type=TextureSize(),
        metavar="PIXELS|none",
        help="Width of the picture on the mesh.  [default: 256, 512 or 1024, by the surface]",
    )
    @click.option(
        "--triangles",
        type=click.IntRange(min=4),
        metavar="N",
        help="At most so many triangles.  [default: 10000 under a texture, else all]",
    )
    @wraps(function)
    def collected(*, texture: int | str | None, triangles: int | None, **rest: Any) -> Any:
        return function(mesh_file=MeshOptions(texture, triangles), **rest)

    return collected
