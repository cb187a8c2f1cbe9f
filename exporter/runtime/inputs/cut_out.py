"""An object cut out of a plain background: a flood fill from the border, by the border's colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from exporter.errors import RecipeError
from exporter.runtime.inputs.plain_background import plain_background

TOLERANCE = 36
"""How far a colour may be from the border's, in sRGB levels of the channel that differs most."""
LEAST_LEFT = 0.002


@dataclass(frozen=True)
class CutOut:
    """A picture whose background is transparent: RGBA. `share`: how much of it was removed."""

    picture: Image.Image
    color: tuple[int, int, int]
    share: float

    def told(self) -> str:
        """What was done, for people."""
        if not self.share:
            return "it is transparent already: nothing was removed"
        return (
            f"removed {self.share:.0%} of it: all that is connected with its border and within {TOLERANCE} levels of "
            f"sRGB {self.color}"
        )


def cut_out(picture: Image.Image) -> CutOut:
    """Makes transparent what is connected with the border and of its colour. A picture that is transparent somewhere
    already is left as it is.

    Raises RecipeError where the border is of many colours, or nothing is left.
    """
    whole = picture.convert("RGBA")
    pixels = np.asarray(whole)
    if (pixels[..., 3] < 255).any():
        return CutOut(whole, (0, 0, 0), 0.0)
    found = plain_background(pixels[..., :3], TOLERANCE)
    if not found.is_plain:
        raise RecipeError(
            f"--remove-background: the background is not plain: only {found.of_border:.0%} of the border is near its "
            f"middle colour, sRGB {found.color}. Cut the object out in another program and give it with transparency"
        )
    if (share := float(found.mask.mean())) > 1 - LEAST_LEFT:
        raise RecipeError(
            f"--remove-background: nothing would be left: all of it is near its border's colour, sRGB {found.color}"
        )
    made = pixels.copy()
    made[found.mask, 3] = 0
    return CutOut(Image.fromarray(made), found.color, share)
