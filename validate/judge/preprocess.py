"""CLIP's image preprocessing from a `preprocessor_config.json`, with PIL and numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class ImagePreprocess:
    """Resize, centre crop, rescale and normalise, in that order; a step that is off is `None`."""

    shortest_edge: int | None
    exact_size: tuple[int, int] | None
    resample: Image.Resampling
    crop: tuple[int, int] | None
    rescale: float
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ImagePreprocess:
        """Read the hub's fields; sizes may be an int, `shortest_edge`, or `height` and `width`."""
        shortest, exact = _size(config["size"]) if config.get("do_resize", True) else (None, None)
        normalise = config.get("do_normalize", True)
        return cls(
            shortest_edge=shortest,
            exact_size=exact,
            resample=Image.Resampling(config.get("resample", Image.Resampling.BICUBIC)),
            crop=_crop(config["crop_size"]) if config.get("do_center_crop", True) else None,
            rescale=config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0,
            mean=np.asarray(config["image_mean"] if normalise else (0, 0, 0), dtype=np.float32),
            std=np.asarray(config["image_std"] if normalise else (1, 1, 1), dtype=np.float32),
        )

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [n, h, w, 3] -> float32 [n, 3, H, W]."""
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise ValueError(f"images must be uint8 [n, h, w, 3], found {images.dtype} {list(images.shape)}")
        pixels = np.stack([self._frame(image) for image in images]).astype(np.float32) * np.float32(self.rescale)
        return np.ascontiguousarray(((pixels - self.mean) / self.std).transpose(0, 3, 1, 2))

    def _frame(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = image.shape[:2]
        if self.exact_size is not None:
            height, width = self.exact_size
        elif self.shortest_edge is not None:
            short = min(height, width)
            height, width = (int(self.shortest_edge * edge / short) for edge in (height, width))
        if (height, width) != image.shape[:2]:
            image = np.asarray(Image.fromarray(image).resize((width, height), self.resample))
        return image if self.crop is None else _centre_crop(image, *self.crop)


def _size(value: Any) -> tuple[int | None, tuple[int, int] | None]:
    if isinstance(value, int):
        return value, None
    if "shortest_edge" in value:
        return int(value["shortest_edge"]), None
    return None, (int(value["height"]), int(value["width"]))


def _crop(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value["height"]), int(value["width"]))


def _centre_crop(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Crop around the centre; an image smaller than the crop is padded with zeros, as transformers does."""
    pad = [
        (max(0, want - have + 1) // 2, max(0, want - have) // 2)
        for want, have in ((height, image.shape[0]), (width, image.shape[1]))
    ]
    if any(map(any, pad)):
        image = np.pad(image, (*pad, (0, 0)))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
