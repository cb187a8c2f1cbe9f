"""Layers by precisions as a picture: how much signal is left over the noise, red for little and green for much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from exporter.search.losses import Loss

LEAST_CELL, HEIGHT = 60, 18
CAPTION = "SNR in dB; stripes: thirds of the noise levels, the highest first, or a stage's outputs"
FONT_SIZE = 11
MARGIN = 8
GROUND, INK = (255, 255, 255), (20, 20, 20)
DARK = 330
# Colours of a diverging scale that people with red-green blindness tell apart by brightness too.
SCALE_DB = (5.0, 20.0, 30.0, 40.0, 60.0)
SCALE = np.array([(165, 0, 38), (244, 109, 67), (254, 224, 139), (166, 217, 106), (0, 104, 55)], float)


def draw_heatmap(losses: Sequence[Loss]) -> Image.Image:
    """One row a layer and one column a candidate, with the SNR in dB; a cell has a stripe for each part (third)."""
    font = ImageFont.load_default(FONT_SIZE)
    layers, candidates = (
        list(dict.fromkeys(names)) for names in zip(*((s.layer, s.candidate) for s in losses), strict=True)
    )
    found = {(loss.layer, loss.candidate): loss for loss in losses}
    left = 2 * MARGIN + math.ceil(max(font.getlength(name) for name in layers))
    width = max(LEAST_CELL, *(math.ceil(font.getlength(name)) + MARGIN for name in candidates))
    top = MARGIN + HEIGHT
    across = max(left + width * len(candidates), MARGIN + math.ceil(font.getlength(CAPTION)))
    size = across + MARGIN, top + HEIGHT * (len(layers) + 1) + MARGIN
    picture = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(picture)
    for column, candidate in enumerate(candidates):
        draw.text((left + width * (column + 0.5), MARGIN), candidate, INK, font, anchor="ma")
    for row, layer in enumerate(layers):
        y = top + HEIGHT * row
        draw.text((left - MARGIN, y + HEIGHT / 2), layer, INK, font, anchor="rm")
        for column, candidate in enumerate(candidates):
            if loss := found.get((layer, candidate)):
                x = left + width * column
                _draw_cell(draw, (x, y, x + width - 2, y + HEIGHT - 2), loss, font)
    draw.text((MARGIN, top + HEIGHT * len(layers) + MARGIN / 2), CAPTION, INK, font)
    return picture


def color_of(snr_db: float) -> tuple[int, int, int]:
    """The colour of a signal-to-noise ratio."""
    shares = [np.interp(snr_db, SCALE_DB, channel) for channel in SCALE.T]
    red, green, blue = (round(float(share)) for share in shares)
    return red, green, blue


def _draw_cell(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    loss: Loss,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    from exporter.search.error_metric import decibels

    left, top, right, bottom = box
    colors = [color_of(decibels(nsr)) for nsr in loss.nsr.values()]
    stripe = (right - left) / len(colors)
    for i, color in enumerate(colors):
        draw.rectangle((left + i * stripe, top, left + (i + 1) * stripe - 1, bottom - 1), color)
    ink = GROUND if sum(colors[len(colors) // 2]) < DARK else INK
    draw.text(((left + right) / 2, (top + bottom) / 2), f"{loss.snr_db:.1f}", ink, font, anchor="mm")
