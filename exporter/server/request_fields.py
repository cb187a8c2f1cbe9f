"""The fields of a request, by what a bundle takes and makes, as JSON schema."""

from __future__ import annotations

from typing import Any

from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.pipeline import Pipeline
from exporter.pipeline.sampling import NEGATIVE
from exporter.runtime.inputs.mesh_values import FEWEST_TRIANGLES, LARGEST_TEXTURE, SMALLEST_TEXTURE
from exporter.runtime.inputs.values import LARGEST_SEED, QUALITIES, SMALLEST_GRID
from exporter.server.formats import formats_of

LARGEST_SERVED_GRID = max(QUALITIES.values())
"""Samples along an edge; a larger one would keep all others waiting, and takes memory by its cube."""

LONGEST_TEXT = 4096
"""Characters; a model reads the first hundred or so."""

Fields = dict[str, dict[str, Any]]


def request_fields(pipeline: Pipeline) -> Fields:
    """What a request may say, each field with its schema."""
    takes = {source.kind for source in pipeline.inputs.values()}
    formats = formats_of(pipeline)
    fields: Fields = {}
    if "text" in takes:
        fields["prompt"] = _text("What to make")
    if "picture" in takes:
        fields["picture"] = {
            "type": "string",
            "contentEncoding": "base64",
            "description": "A PNG, JPEG, WebP, GIF, BMP or TIFF file in base64, or as a part of multipart/form-data",
        }
        fields["remove_background"] = _flag("Cut the object out of a plain background")
    if NEGATIVE in pipeline.condition_sets:
        fields["negative"] = _text("What the object is to be unlike")
    fields["seed"] = {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED, "default": 0}
    fields["format"] = {"type": "string", "enum": formats, "default": formats[0]}
    return fields | (_of_a_mesh() if pipeline.asset(MeshAsset) else {})


def required_fields(fields: Fields) -> list[str]:
    """Those without which nothing can be made."""
    return [name for name in ("prompt", "picture") if name in fields]


def _of_a_mesh() -> Fields:
    return {
        "quality": {"type": "string", "enum": list(QUALITIES), "description": "A grid by name, instead of grid"},
        "grid": {
            "type": "integer",
            "minimum": SMALLEST_GRID,
            "maximum": LARGEST_SERVED_GRID,
            "description": "Samples of the field along an edge, instead of the recipe's",
        },
        "exact": {
            "type": "boolean",
            "description": "Sample every point of the grid, or only those near the surface, instead of the recipe's",
        },
        "texture": {
            "anyOf": [
                {"type": "boolean"},
                {"type": "integer", "minimum": SMALLEST_TEXTURE, "maximum": LARGEST_TEXTURE},
            ],
            "default": True,
            "description": "Whether there is a texture where the format carries one, or its width in pixels",
        },
        "triangles": {"type": "integer", "minimum": FEWEST_TRIANGLES, "description": "At most this many"},
        "watertight": _flag("Close every hole, and prove the mesh a solid"),
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT, "description": description}


def _flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "default": False, "description": description}
