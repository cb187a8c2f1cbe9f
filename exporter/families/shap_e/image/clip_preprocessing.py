"""What a `preprocessor_config.json` of CLIP says, as an input of a pipeline."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import ValidationError
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from exporter.errors import WeightsError
from exporter.pipeline.inputs import PictureInput

# By Pillow's number of each filter, which the configuration has.
RESAMPLING: dict[int, Literal["nearest", "bilinear", "bicubic", "lanczos"]] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}
# What a bundle always does, and the configuration has to say.
ALWAYS = {"do_resize": True, "do_rescale": True, "do_normalize": True}


def picture_input(config: dict[str, Any], background: tuple[int, int, int], source: str) -> PictureInput:
    """The preprocessing of CLIPImageProcessor: the shorter edge resized, the middle cut out where it is to be, bytes
    scaled to 0 … 1 and normalised. `background`: of transparent pictures, sRGB bytes.

    Raises WeightsError that names what a bundle does not do.
    """
    place = f"weights {source!r}: image_processor/preprocessor_config.json"
    given = _defaults() | {key: value for key, value in config.items() if value is not None}
    for key, wanted in ALWAYS.items():
        if given[key] is not wanted:
            raise WeightsError(f"{place} has {key} {given[key]!r}; a bundle's pictures always have it {wanted!r}")
    if not math.isclose(given["rescale_factor"], 1 / 255):
        raise WeightsError(f"{place} has rescale_factor {given['rescale_factor']!r}; 1/255 is expected")
    if given["resample"] not in RESAMPLING:
        known = ", ".join(f"{number} ({name})" for number, name in RESAMPLING.items())
        raise WeightsError(f"{place} has resample {given['resample']!r}; known are {known}")
    height, width, shorter = _sizes(given, place)
    if height != width:
        raise WeightsError(f"{place} makes pictures of {width} by {height} pixels; square ones are expected")
    try:
        return PictureInput(
            tensor="pixels",
            size=height,
            shorter_edge=shorter,
            resampling=RESAMPLING[given["resample"]],
            mean=tuple(given["image_mean"]),
            std=tuple(given["image_std"]),
            background=background,
        )
    except (ValidationError, TypeError) as error:
        raise WeightsError(f"{place}: {error}") from None


def _sizes(given: dict[str, Any], place: str) -> tuple[int, int, int | None]:
    """Height and width of what comes out, and what the shorter edge is resized to, none for both edges' own."""
    size, crop = given["size"], given["crop_size"]
    # Older files have one number for each.
    size = {"shortest_edge": size} if isinstance(size, int) else size
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    try:
        if not given["do_center_crop"]:
            return size["height"], size["width"], None
        shorter = size.get("shortest_edge")
        if shorter is None and (size["height"], size["width"]) != (crop["height"], crop["width"]):
            raise WeightsError(f"{place} resizes to {size} and then cuts out {crop}; a shortest_edge is expected")
        return crop["height"], crop["width"], shorter
    except (KeyError, TypeError, AttributeError):
        raise WeightsError(
            f"{place} has size {size!r}, crop_size {crop!r} and do_center_crop {given['do_center_crop']!r}; "
            "a bundle resizes to a shortest_edge and cuts out a height and width, or resizes to height and width"
        ) from None


def _defaults() -> dict[str, Any]:
    """What CLIPImageProcessor does where its configuration is silent."""
    own = CLIPImageProcessorPil()
    keys = (*ALWAYS, "rescale_factor", "resample", "size", "crop_size", "do_center_crop", "image_mean", "image_std")
    return {key: getattr(own, key) for key in keys}
