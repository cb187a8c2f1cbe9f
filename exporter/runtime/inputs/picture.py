"""Pictures to tensors, in the same bits as image processors of Hugging Face's `transformers` give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from exporter.errors import RecipeError
from exporter.pipeline.inputs import PictureInput
from exporter.runtime.inputs.float_resize import resized_floats
from exporter.runtime.inputs.framing import framed

# A file, or what was read of one: bytes [H, W, 3], with transparency [H, W, 4].
Picture = str | Path | Image.Image | np.ndarray
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class PictureReader:
    """Reads pictures as an input of a pipeline wants them."""

    def __init__(self, source: PictureInput) -> None:
        self.source = source

    def encode(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Float32 [B, 3, size, size]. Raises RecipeError for what is no picture of 8 bits a channel, or one that is to
        be framed and has neither transparency nor a plain background."""
        if not pictures:
            return np.zeros((0, 3, self.source.size, self.source.size), np.float32)
        return np.stack([self._normalized(self._values(self._opaque(opened(picture)))) for picture in pictures])

    def _opaque(self, picture: Image.Image) -> Image.Image:
        if self.source.framing:
            return Image.fromarray(framed(np.asarray(picture.convert("RGBA")), self.source.framing))
        if not picture.has_transparency_data:
            return picture.convert("RGB")
        background = Image.new("RGBA", picture.size, (*self.source.background, 255))
        return Image.alpha_composite(background, picture.convert("RGBA")).convert("RGB")

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


def opened(picture: Picture) -> Image.Image:
    """A picture as Pillow has it, turned as its camera was held. Raises RecipeError that says what is wrong with it."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
            raise RecipeError(
                f"picture: bytes [H, W, 3] or, with transparency, [H, W, 4] are expected, not {picture.dtype} "
                f"{list(picture.shape)}"
            )
        return Image.fromarray(picture)
    if not isinstance(picture, str | Path | Image.Image):
        raise RecipeError(f"picture: the path of a file, a Pillow image or bytes are expected, not {picture!r}")
    try:
        found = picture if isinstance(picture, Image.Image) else Image.open(picture)
        turned: Image.Image = ImageOps.exif_transpose(found)
    except FileNotFoundError:
        raise RecipeError(f"picture {picture}: there is no such file") from None
    # A damaged file, one of no known format, or one of more pixels than any picture has.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RecipeError(f"picture {picture}: it cannot be read: {error}") from None
    if turned.mode.startswith(("I", "F")):
        raise RecipeError(f"picture {picture}: 8 bits a channel are expected, and it is of Pillow's mode {turned.mode}")
    return turned
