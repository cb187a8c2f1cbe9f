"""Options of `t3export run` that say what kind of mesh file is wanted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from exporter.runtime.assets.meshfile import carries_texture, chosen_up, chosen_writer
from exporter.runtime.assets.placing import Up
from exporter.runtime.assets.postprocess import Cleaning, Dressing, chosen_dressing, require_packages
from exporter.runtime.inputs.mesh_values import FEWEST_TRIANGLES, LARGEST_TEXTURE, SMALLEST_TEXTURE
from t3export.output import print_note
from t3export.written_object import MeshFileWanted

METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0, "in": 0.0254}


@dataclass(frozen=True)
class MeshOptions:
    """texture: pixels, "none", or None where nothing was said; triangles: at most this many; size in metres."""

    texture: int | str | None
    triangles: int | None
    watertight: bool
    drop_parts: float
    size: float | None
    up: Up | None
    compress: bool

    @property
    def of_a_mesh(self) -> list[str]:
        """The options that were given and mean nothing without a mesh; points have a size and an axis too."""
        given = {
            "--texture": self.texture not in (None, "none"),
            "--triangles": self.triangles is not None,
            "--watertight": self.watertight,
            "--drop-parts": self.drop_parts > 0,
            "--compress": self.compress,
        }
        return [name for name, is_given in given.items() if is_given]

    def wanted(self, output: Path | None, points: Path | None = None) -> MeshFileWanted:
        """What becomes of a mesh on its way to `output`, and of points on theirs to `points`.

        Raises RecipeError for what a format does not have, EnvironmentProblem where a package is missing, UsageError
        where there is no such file.
        """
        of_the_mesh = {"texture": self.texture, "triangles": self.triangles, "compress": self.compress or None}
        of_any_file = {} if points else {"size": self.size, "up": self.up}
        given = [f"--{name}" for name, value in (of_the_mesh | of_any_file).items() if value is not None]
        if given and not output:
            raise click.UsageError(f"{', '.join(given)} is for a mesh file: give -o mesh.glb")
        for path in filter(None, (output, points)):
            chosen_up(path, self.up)
        if output and self.compress:
            chosen_writer(output, compress=True)
        cleaning, dressing = Cleaning(self.drop_parts, self.watertight), self._dressing(output)
        require_packages(cleaning, dressing)
        return MeshFileWanted(cleaning, dressing, self.size, self.up, self.compress)

    def _dressing(self, output: Path | None) -> Dressing:
        """A texture only where the format has one and, unless it was asked for, where it can be baked here."""
        if output is None:
            return Dressing(texture=False)
        wanted = self.texture != "none" if self.texture is None or isinstance(self.texture, str) else self.texture
        dressing = chosen_dressing(output, wanted, self.triangles)
        if wanted is True and carries_texture(output) and not dressing.texture:
            print_note("no texture, only vertex colours, which many viewers ignore: `pip install 't3export[mesh]'`")
        return dressing


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


class Length(click.ParamType):
    """A length with its unit, in metres."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """80mm as 0.08."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", value)
        if not found or found[2] not in METRES or not float(found[1]):
            self.fail(
                f"{value!r} is no length with a unit ({', '.join(METRES)}), as in 80mm; pictures have --pixels",
                param,
                ctx,
            )
        return float(found[1]) * METRES[found[2]]


class Share(click.ParamType):
    """A part of the whole, 1% or 0.01."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """From 0 to below 1."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d*\.?\d+)(%?)", value)
        share = float(found[1]) / (100 if found[2] else 1) if found else 1.0
        if share >= 1:
            self.fail(f"{value!r} is no share below the whole, as in 1% or 0.01", param, ctx)
        return share


def mesh_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All options of the mesh file, as one argument `mesh_file`."""

    @click.option(
        "--texture",
        type=TextureSize(),
        metavar="PIXELS|none",
        help="Width of the picture on the mesh.  [default: 256, 512 or 1024, by the surface]",
    )
    @click.option(
        "--triangles",
        type=click.IntRange(min=FEWEST_TRIANGLES),
        metavar="N",
        help="At most this many triangles.  [default: 10000 under a texture, else all]",
    )
    @click.option("--watertight", is_flag=True, help="Close every hole, and prove the mesh a solid.")
    @click.option(
        "--drop-parts",
        type=Share(),
        metavar="SHARE",
        default=0.0,
        help="Leave out parts, and fill cavities, with less than this share of the volume: 1% or 0.01.",
    )
    @click.option(
        "--size",
        type=Length(),
        metavar="LENGTH",
        help="Longest side of the object, as in 80mm.  [default: 100mm in .stl and .3mf, else 1m a unit of the model]",
    )
    @click.option(
        "--compress",
        is_flag=True,
        help="A .glb in a fraction of the bytes, for readers of EXT_meshopt_compression, as browsers' are.",
    )
    @click.option("--up", type=click.Choice(["y", "z"]), help="The axis that points up, instead of the format's.")
    @wraps(function)
    def collected(**given: Any) -> Any:
        own = {field.name: given.pop(field.name) for field in fields(MeshOptions)}
        return function(mesh_file=MeshOptions(**own), **given)

    return collected
