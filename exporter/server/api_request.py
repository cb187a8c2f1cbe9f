"""A request for an object: its fields, checked as the command line checks its options, and no path among them."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from exporter.errors import RecipeError, did_you_mean
from exporter.runtime.bundle import Bundle
from exporter.runtime.generating import OnProgress
from exporter.runtime.inputs.cut_out import cut_out
from exporter.runtime.inputs.mesh_values import require_flag, require_texture, require_triangles
from exporter.runtime.inputs.picture import opened, unturned
from exporter.runtime.inputs.values import chosen_grid, require_prompt, require_seed
from exporter.server.formats import STEM, MadeFile, one_file, require_format
from exporter.server.request_fields import LARGEST_SERVED_GRID, LONGEST_TEXT, Fields, required_fields

Given = Mapping[str, Any]
"""The fields of a request by name; a picture as the bytes of its file, or those in base64."""


@dataclass(frozen=True, eq=False)
class ApiRequest:
    """What one object is made of, and how its file is written."""

    given: str | bytes | None
    remove_background: bool
    negative: str | None
    seed: int
    format: str
    grid: int | None
    exact: bool | None
    texture: bool | int
    triangles: int | None
    watertight: bool

    def make(self, bundle: Bundle, on_progress: OnProgress) -> MadeFile:
        """The file. Raises EmptyMesh where there is no surface, and what `on_progress` raises."""
        made = bundle.generate(
            self._read(),
            self.seed,
            grid=self.grid,
            exact=self.exact,
            negative=self.negative,
            on_progress=on_progress,
        )
        on_progress("file", 0, 1)
        files = made.encode(
            Path(f"{STEM}.{self.format}"),
            texture=self.texture,
            triangles=self.triangles,
            watertight=self.watertight,
        )
        return one_file(files)

    def _read(self) -> str | Image.Image | None:
        """The prompt, or the picture: read in its turn, as a small file may be a picture of many pixels."""
        if not isinstance(self.given, bytes):
            return self.given
        picture = opened(io.BytesIO(self.given))
        return cut_out(picture).picture if self.remove_background else picture


def read_request(given: Given, fields: Fields) -> ApiRequest:
    """A request of these fields. Raises RecipeError for a field that the bundle does not take, or another value."""
    for name in given:
        if name not in fields:
            raise RecipeError(f"{name}: this bundle takes no such field; {did_you_mean(str(name), fields)}")
    if missing := [name for name in required_fields(fields) if name not in given]:
        raise RecipeError(f"{missing[0]}: missing; this bundle makes its objects of it")
    negative = given.get("negative")
    return ApiRequest(
        given=_made_of(given),
        remove_background=require_flag("remove_background", given.get("remove_background", False)),
        negative=None if negative is None else _text("negative", negative),
        seed=require_seed(given.get("seed", 0)),
        format=require_format(given.get("format", fields["format"]["default"]), fields["format"]["enum"]),
        grid=_served_grid(chosen_grid(given.get("grid"), given.get("quality"))),
        exact=require_flag("exact", given["exact"]) if "exact" in given else None,
        texture=require_texture(given.get("texture", True)),
        triangles=require_triangles(given.get("triangles")),
        watertight=require_flag("watertight", given.get("watertight", False)),
    )


def typed_fields(given: Given, fields: Fields) -> dict[str, Any]:
    """Fields of a form, where everything is text: numbers and yes or no as the schema has them, the rest as it is."""
    return {name: _typed(value, fields.get(name, {})) for name, value in given.items()}


def _typed(value: Any, schema: dict[str, Any]) -> Any:
    types = {schema.get("type"), *(one["type"] for one in schema.get("anyOf", ()))}
    if not isinstance(value, str):
        return value
    if "boolean" in types and value in ("true", "false"):
        return value == "true"
    return int(value) if "integer" in types and value.isascii() and value.isdecimal() and len(value) < 30 else value


def _made_of(given: Given) -> str | bytes | None:
    if "prompt" in given:
        return _text("prompt", given["prompt"])
    if "picture" not in given:
        return None
    picture = _decoded(given["picture"])
    unturned(io.BytesIO(picture))
    return picture


def _decoded(picture: object) -> bytes:
    """The bytes of a file. A path, or the address of a picture elsewhere, is neither of both."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str):
        try:
            return base64.b64decode(picture, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise RecipeError(
        "picture: the bytes of a PNG, JPEG, WebP, GIF, BMP or TIFF file are expected, in base64 or as a part of "
        "multipart/form-data with a file name"
    )


def _text(name: str, text: object) -> str:
    if isinstance(text, bytes):
        raise RecipeError(f"{name}: text is expected, not a file")
    if isinstance(text, str) and len(text) > LONGEST_TEXT:
        raise RecipeError(f"{name}: at most {LONGEST_TEXT} characters are taken, not {len(text)}")
    try:
        return require_prompt(text)
    except RecipeError as error:
        raise RecipeError(str(error).replace("prompt", name, 1)) from None


def _served_grid(grid: int | None) -> int | None:
    if grid is not None and grid > LARGEST_SERVED_GRID:
        raise RecipeError(f"grid: at most {LARGEST_SERVED_GRID} here, not {grid}; `t3export run` takes more")
    return grid
