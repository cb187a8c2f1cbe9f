"""What of a picture is a plain background: all that reaches in from the border in the border's own colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.runtime.connected import connected_components

PLAIN = 0.75
"""How much of the border has to be of one colour; the rest is an object that reaches it."""


@dataclass(frozen=True)
class PlainBackground:
    """`color`: sRGB of the border, the median of each channel. `of_border`: how much of the border is near it. `mask`:
    bool [H, W], what is near it and connected with the border, side by side and not by corners."""

    color: tuple[int, int, int]
    of_border: float
    mask: np.ndarray

    @property
    def is_plain(self) -> bool:
        return self.of_border >= PLAIN


def plain_background(colors: np.ndarray, tolerance: int) -> PlainBackground:
    """Of bytes [H, W, 3]; `tolerance`: sRGB levels that the channel which differs most may be from the border's."""
    border = np.zeros(colors.shape[:2], bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    ordered = np.sort(colors[border], axis=0)
    median = ordered[(len(ordered) - 1) // 2].astype(np.int16)
    near = (np.abs(colors.astype(np.int16) - median) <= tolerance).all(axis=-1)
    red, green, blue = map(int, median)
    return PlainBackground((red, green, blue), float(near[border].mean()), _reached(border & near, near))


def _reached(seeds: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """What of `allowed` [H, W] hangs together with one of its `seeds`, side by side and not by corners."""
    begins = allowed.copy()
    begins[:, 1:] &= ~allowed[:, :-1]
    # Pixels of a row that follow one another have one number.
    run = begins.reshape(-1).cumsum().reshape(allowed.shape) - 1
    below = allowed[:-1] & allowed[1:]
    component = connected_components(run[:-1][below], run[1:][below], int(begins.sum()))
    is_reached = np.zeros(len(component), bool)
    is_reached[component[run[seeds]]] = True
    reached = np.zeros(allowed.shape, bool)
    reached[allowed] = is_reached[component[run[allowed]]]
    return reached
