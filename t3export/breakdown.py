"""A benchmark as a picture: for each side where the time of one object goes, and how long that is."""

from __future__ import annotations

import math
from itertools import cycle
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from validate.bench.timings import BenchResult

FONT_SIZE = 13
HEIGHT, WIDTH, MARGIN = 26, 520, 10
GROUND, INK, PAPER = (255, 255, 255), (20, 20, 20), (255, 255, 255)
# Okabe and Ito's colours, which people with red-green blindness tell apart.
PALETTE = (
    (230, 159, 0), (86, 180, 233), (0, 114, 178), (0, 158, 115), (204, 121, 167), (213, 94, 0), (240, 228, 66),
)  # fmt: skip
LEAST_LABEL = 0.08


def colors_of(result: BenchResult) -> dict[str, tuple[int, int, int]]:
    """A colour for each part up to the first asset, by name."""
    own = {part for side in result.measured for part in side.seconds}
    return dict(zip((part for part in result.parts if part in own), cycle(PALETTE), strict=False))


def draw_breakdown(result: BenchResult) -> Image.Image:
    """One bar a side, each as wide as its own whole: median shares of the parts, seconds and composition beside it."""
    font = ImageFont.load_default(FONT_SIZE)
    sides, colors = result.measured, colors_of(result)
    told = [_told(side.percentile("end_to_end", 50) or 0.0, side.composed) for side in sides]
    left = 2 * MARGIN + math.ceil(max(font.getlength(side.name) for side in sides))
    right = 2 * MARGIN + math.ceil(max(font.getlength(text) for text in told))
    width = max(WIDTH + right, math.ceil(sum(30 + font.getlength(part) for part in colors)))
    picture = Image.new("RGB", (left + width, HEIGHT * (len(sides) + 1) + 2 * MARGIN), GROUND)
    draw = ImageDraw.Draw(picture)
    for row, (side, text) in enumerate(zip(sides, told, strict=True)):
        y = MARGIN + HEIGHT * row
        medians = {part: side.percentile(part, 50) or 0.0 for part in colors}
        draw.text((left - MARGIN, y + HEIGHT / 2), side.name, INK, font, anchor="rm")
        draw.text((left + WIDTH + MARGIN, y + HEIGHT / 2), text, INK, font, anchor="lm")
        x = float(left)
        for part, seconds in medians.items():
            share = seconds / (sum(medians.values()) or 1.0)
            end = x + share * WIDTH
            draw.rectangle((x, y + 2, end, y + HEIGHT - 3), colors[part])
            if share >= LEAST_LABEL:
                draw.text(((x + end) / 2, y + HEIGHT / 2), f"{100 * share:.0f} %", PAPER, font, anchor="mm")
            x = end
    x = float(left)
    for part, color in colors.items():
        middle = MARGIN + HEIGHT * len(sides) + HEIGHT / 2
        draw.rectangle((x, middle - 5, x + 10, middle + 5), color)
        draw.text((x + 15, middle), part, INK, font, anchor="lm")
        x += 30 + font.getlength(part)
    return picture


def _told(seconds: float, composed: bool) -> str:
    return f"{seconds:.3g} s" + (" (composed)" if composed else "")
