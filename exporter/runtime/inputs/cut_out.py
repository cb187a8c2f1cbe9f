"""An object cut out of a plain background: a flood fill from the border, by the border's colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from exporter.errors import RecipeError

TOLERANCE = 36
"""How far a colour may be from the border's, in sRGB levels of the channel that differs most."""
PLAIN = 0.8
"""How much of the border has to be that near, for the background to be plain."""
LEAST_LEFT = 0.002
_ALL_SIDES = np.ones((3, 3), bool)


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
    colors = pixels[..., :3].astype(np.int16)
    border = np.concatenate([colors[0], colors[-1], colors[1:-1, 0], colors[1:-1, -1]])
    color = np.median(border, axis=0).astype(np.int16)
    plain = (np.abs(border - color).max(axis=1) <= TOLERANCE).mean()
    named = (int(color[0]), int(color[1]), int(color[2]))
    if plain < PLAIN:
        raise RecipeError(
            f"--remove-background: the background is not plain: only {plain:.0%} of the border is near its middle "
            f"colour, sRGB {named}. Cut the object out in another program and give it with transparency"
        )
    near = np.abs(colors - color).max(axis=2) <= TOLERANCE
    parts, _ = ndimage.label(near, _ALL_SIDES)
    at_border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    removed = np.isin(parts, at_border[at_border > 0])
    if (share := float(removed.mean())) > 1 - LEAST_LEFT:
        raise RecipeError(
            f"--remove-background: nothing would be left: all of it is near the colour of its border, sRGB {named}"
        )
    made = pixels.copy()
    made[removed, 3] = 0
    return CutOut(Image.fromarray(made), named, share)
