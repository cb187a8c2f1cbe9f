"""A benchmark as a picture: for each side where its time from prompt to mesh goes, and how long that is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from validate.bench.timings import BenchResult

FONT_SIZE = 13
HEIGHT, WIDTH, MARGIN = 26, 520, 10
GROUND, INK, PAPER = (255, 255, 255), (20, 20, 20), (255, 255, 255)
# Okabe and Ito's colours, which people with red-green blindness tell apart.
COLORS = {"text": (230, 159, 0), "diffusion": (0, 114, 178), "projector": (0, 158, 115), "mesh": (213, 94, 0)}
LEAST_LABEL = 0.08


def draw_breakdown(result: BenchResult) -> Image.Image:
    """One bar a side, each as wide as its own whole: median shares of the stages, seconds and composition beside it."""
    font = ImageFont.load_default(FONT_SIZE)
    sides = result.measured
    told = [_told(side.percentile("end_to_end", 50) or 0.0, side.composed) for side in sides]
    left = 2 * MARGIN + math.ceil(max(font.getlength(side.name) for side in sides))
    right = 2 * MARGIN + math.ceil(max(font.getlength(text) for text in told))
    picture = Image.new("RGB", (left + WIDTH + right, HEIGHT * (len(sides) + 1) + 2 * MARGIN), GROUND)
    draw = ImageDraw.Draw(picture)
    for row, (side, text) in enumerate(zip(sides, told, strict=True)):
        y = MARGIN + HEIGHT * row
        medians = {stage: side.percentile(stage, 50) or 0.0 for stage in COLORS}
        draw.text((left - MARGIN, y + HEIGHT / 2), side.name, INK, font, anchor="rm")
        draw.text((left + WIDTH + MARGIN, y + HEIGHT / 2), text, INK, font, anchor="lm")
        x = float(left)
        for stage, seconds in medians.items():
            share = seconds / (sum(medians.values()) or 1.0)
            end = x + share * WIDTH
            draw.rectangle((x, y + 2, end, y + HEIGHT - 3), COLORS[stage])
            if share >= LEAST_LABEL:
                draw.text(((x + end) / 2, y + HEIGHT / 2), f"{100 * share:.0f} %", PAPER, font, anchor="mm")
            x = end
    x = float(left)
    for stage, color in COLORS.items():
        middle = MARGIN + HEIGHT * len(sides) + HEIGHT / 2
        draw.rectangle((x, middle - 5, x + 10, middle + 5), color)
        draw.text((x + 15, middle), stage, INK, font, anchor="lm")
        x += 30 + font.getlength(stage)
    return picture


def _told(seconds: float, composed: bool) -> str:
    return f"{seconds:.3g} s" + (" (composed)" if composed else "")
