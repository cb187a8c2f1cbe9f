"""Pictures to tensors, in the same bits as image processors of Hugging Face's `transformers` give them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from exporter.errors import RecipeError
from exporter.pipeline.inputs import PictureInput
from exporter.runtime.inputs.float_resize import resized_floats
from exporter.runtime.inputs.framing import framed

# A file, or what was read of one: bytes [H, W, 3], with transparency [H, W, 4].
Picture = str | Path | BinaryIO | Image.Image | np.ndarray
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MOST_PIXELS = 2**26
LONGEST_STRIP = 32
"""How many times longer than the other an edge may be; `web/picture.js` has the same limits."""
# What Pillow turns into sRGB bytes. Numbers of 16 bits are whole bytes and a remainder; of 32 bits nobody knows white.
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_KNOWN = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")


class PictureReader:
    """Reads pictures as an input of a pipeline wants them."""

    def __init__(self, source: PictureInput) -> None:
        self.source = source

    def encode(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Float32 [B, 3, size, size]. Raises RecipeError as `opened`, and for one that is to be framed and has neither
        transparency nor a plain background."""
        if not pictures:
            return np.zeros((0, 3, self.source.size, self.source.size), np.float32)
        return np.stack([self._pixels(opened(picture)) for picture in pictures])

    def _pixels(self, picture: Image.Image) -> np.ndarray:
        if self.source.framing:
            alone = Image.fromarray(framed(np.asarray(picture.convert("RGBA")), self.source.framing))
        else:
            alone = opaque(picture, self.source.background)
        return self._normalized(self._values(alone))

    def _sized(self, picture: Image.Image) -> Image.Image:
        size, shorter, filter_ = self.source.size, self.source.shorter_edge, RESAMPLING[self.source.resampling]
        if shorter is None:
            return picture.resize((size, size), filter_)
        least = min(picture.size)
        width, height = (shorter if edge == least else int(shorter * edge / least) for edge in picture.size)
        left, top = (width - size) // 2, (height - size) // 2
        return picture.resize((width, height), filter_).crop((left, top, left + size, top + size))

    def _values(self, picture: Image.Image) -> np.ndarray:
        """Float32 [size, size, 3] from 0 to 1."""
        if self.source.resized_as == "floats":
            return resized_floats(np.asarray(picture).astype(np.float32) / np.float32(255), self.source.size)
        return (np.asarray(self._sized(picture)).astype(np.float64) * (1 / 255)).astype(np.float32)

    def _normalized(self, values: np.ndarray) -> np.ndarray:
        mean, std = (np.array(numbers, np.float32) for numbers in (self.source.mean, self.source.std))
        return np.ascontiguousarray(((values - mean) / std).transpose(2, 0, 1))


def opaque(picture: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """A picture in RGB, over a background where it is transparent."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    under = Image.new("RGBA", picture.size, (*background, 255))
    return Image.alpha_composite(under, picture.convert("RGBA")).convert("RGB")


def opened(picture: Picture) -> Image.Image:
    """A picture as Pillow has it, read whole, turned as its camera was held, of an animation the first frame, of 16
    bits a channel the upper 8.

    Raises RecipeError that says what is wrong with it: no picture, damaged, of numbers that are no bytes, or too large.
    """
    found = unturned(picture)
    return _in_bytes(_turned(found, _name(found)), _name(found))


def unturned(picture: Picture) -> Image.Image:
    """A picture as it was stored, before anything of it is read but its size. Raises RecipeError as `opened`."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4) or not picture.size:
            raise RecipeError(
                f"picture: bytes [H, W, 3] or, with transparency, [H, W, 4] are expected, not {picture.dtype} "
                f"{list(picture.shape)}"
            )
        found = Image.fromarray(picture)
    elif isinstance(picture, Image.Image):
        found = picture
    elif isinstance(picture, str | Path) or hasattr(picture, "read"):
        found = _open_file(picture)
    else:
        raise RecipeError(f"picture: the path of a file, a Pillow image or bytes are expected, not {picture!r}")
    _require_size(found, _name(found))
    return found


def remarks(picture: Image.Image, read: Image.Image) -> list[str]:
    """What was done to a picture, as it was opened, that somebody may not expect, `read` what `opened` made of it."""
    found = []
    if (frames := getattr(picture, "n_frames", 1)) > 1:
        found.append(f"it has {frames} frames: the first is taken")
    if picture.mode in _SIXTEEN_BITS:
        found.append("it has 16 bits a channel: the upper 8 are taken")
    if picture.mode == "CMYK":
        found.append("it is in CMYK: its colours are converted without a profile")
    if picture.getexif().get(0x0112, 1) != 1:
        found.append("it is turned as its camera was held")
    if read.has_transparency_data:
        found.append("it is transparent: the background shows through")
    return found


def _name(picture: object) -> str:
    name = picture if isinstance(picture, str | Path) else getattr(picture, "filename", "")
    return f"picture {name}" if name else "picture"


def _open_file(picture: str | Path | BinaryIO) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow's own word about size comes before ours.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(picture)
    except FileNotFoundError:
        raise RecipeError(f"{_name(picture)}: there is no such file") from None
    except Image.DecompressionBombError:
        raise RecipeError(f"{_name(picture)}: {_too_large()}") from None
    # A file of no known format, or one whose header is damaged.
    except (OSError, ValueError, SyntaxError) as error:
        raise RecipeError(
            f"{_name(picture)}: it cannot be read: {error}; give a PNG, JPEG, WebP, GIF, BMP or TIFF file"
        ) from None


def _require_size(picture: Image.Image, name: str) -> None:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise RecipeError(f"{name}: {_too_large()}, and this one has {width} x {height}; make it smaller first")
    if not width or not height or max(width, height) > LONGEST_STRIP * min(width, height):
        raise RecipeError(
            f"{name}: {width} x {height} pixels are a strip, of which the middle would say nothing: one edge may be at "
            f"most {LONGEST_STRIP} times the other"
        )


def _too_large() -> str:
    return f"at most {math.floor(MOST_PIXELS / 1e6)} million pixels are taken"


def _turned(picture: Image.Image, name: str) -> Image.Image:
    try:
        picture.load()
        turned: Image.Image = ImageOps.exif_transpose(picture)
    # The file ends too soon, or is damaged further on.
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise RecipeError(f"{name}: it cannot be read: {error}; the file is damaged") from None
    return turned


def _in_bytes(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode in _SIXTEEN_BITS:
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8))
    if picture.mode not in _KNOWN:
        raise RecipeError(
            f"{name}: 8 or 16 bits a channel are expected, in grey, RGB, CMYK or from a palette, and it is of Pillow's "
            f"mode {picture.mode}; save it as an ordinary PNG"
        )
    return picture
