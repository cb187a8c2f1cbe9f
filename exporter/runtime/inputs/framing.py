"""An object in a picture brought into the middle of a square, in the bits of TripoSR's own code (tsr/utils.py,
`resize_foreground`; run.py), and a plain background cut out, which it leaves to a network."""

from __future__ import annotations

import numpy as np

from exporter.errors import RecipeError
from exporter.pipeline.inputs import Framing
from exporter.runtime.inputs.plain_background import plain_background


def framed(picture: np.ndarray, framing: Framing) -> np.ndarray:
    """Bytes [H, W, 4] to bytes [S, S, 3].

    Raises RecipeError for a picture without transparency or a plain background, or with nothing in it.
    """
    if picture[..., 3].min(initial=255) == 255:
        picture = without_plain_background(picture, framing.tolerance)
    rows, columns = (np.flatnonzero(picture[..., 3].any(axis=axis)) for axis in (1, 0))
    if len(rows) < 2 or len(columns) < 2:
        raise RecipeError("picture: there is nothing in it: it is all background")
    cut = picture[rows[0] : rows[-1], columns[0] : columns[-1]]
    longer = max(cut.shape[:2])
    edge = int(longer / framing.share)
    square = np.zeros((edge, edge, 4), np.uint8)
    # First into a square of its own, then that into the larger one: each half is rounded down by itself.
    top, left = ((longer - side) // 2 + (edge - longer) // 2 for side in cut.shape[:2])
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    values = square.astype(np.float32) / np.float32(255)
    color, alpha = values[..., :3], values[..., 3:]
    over = color * alpha + (np.float32(1) - alpha) * np.float32(framing.background)
    return (over * np.float32(255)).astype(np.uint8)


def without_plain_background(picture: np.ndarray, tolerance: int) -> np.ndarray:
    """The same bytes [H, W, 4], transparent where colours near the border's median reach in from it.

    Raises RecipeError where less than three quarters of the border are of such a colour.
    """
    background = plain_background(picture[..., :3], tolerance)
    if not background.is_plain:
        raise RecipeError(
            "picture: its background is neither transparent nor plain; cut the object out (programs such as rembg do) "
            "and give it as a PNG with transparency, or photograph it in front of one colour"
        )
    cut = picture.copy()
    cut[background.mask, 3] = 0
    return cut
