"""The pictures of the documents: `python -m tests.docs.pictures BUNDLE` from a bundle that was validated, or
`python -m tests.docs.pictures --from-pictures BUNDLE` from one that takes pictures."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from exporter.runtime.assets.rasterize import render_mesh
from exporter.runtime.bundle import Bundle
from t3export.cli import run
from tests.browser import chromium
from tests.pages import ROOT

PICTURES = ROOT / "docs/pictures"
# What the small model is good at.
PROMPTS = ("a cyan mushroom", "a green table", "a purple bowl", "an orange ball", "a yellow donut")
# Drawn by strokes, and rendered: none by the renderer that the model learnt from.
GIVEN = ("drawn_mushroom", "mug", "house", "chair")
SIDES = (10.0, 70.0)  # azimuth; the camera of the picture is at 0
PIXELS = 160
COLORS = 128


def draw_objects(bundle: Path, out: Path) -> None:
    """A row of what comes out, by the bundle's own renderer."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = [word for prompt in PROMPTS for word in ("--prompt", prompt)]
        image = Path(folder) / "object.png"
        assert run(["run", str(bundle), *wanted, "--image", str(image), "--pixels", str(PIXELS)]) == 0
        parts = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("*.png"))]
    _grid([parts]).save(out, optimize=True)


def draw_from_pictures(bundle: Path, out: Path) -> None:
    """Pictures above what comes out of each, from the picture's side and turned."""
    made, columns = Bundle.open(bundle), []
    for name in GIVEN:
        path = ROOT / "recipes/pictures" / f"{name}.png"
        views = render_mesh(made.generate(picture=path).mesh, SIDES, 25.0, PIXELS)
        columns.append([Image.open(path).convert("RGB").resize((PIXELS, PIXELS)), *map(Image.fromarray, views)])
    rows = [list(row) for row in zip(*columns, strict=True)]
    _grid(rows).quantize(COLORS).save(out, optimize=True)


def _grid(rows: list[list[Image.Image]]) -> Image.Image:
    sheet = Image.new("RGB", (PIXELS * len(rows[0]), PIXELS * len(rows)), "white")
    for down, row in enumerate(rows):
        for across, tile in enumerate(row):
            sheet.paste(tile, (PIXELS * across, PIXELS * down))
    return sheet


def draw_report(bundle: Path, out: Path) -> None:
    """The upper part of the page of its last validation, in few colours."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 1000})
        page.goto((bundle / "reports/report.html").resolve().as_uri())
        page.wait_for_timeout(1000)
        page.screenshot(path=out)
    Image.open(out).convert("RGB").quantize(COLORS).save(out, optimize=True)


if __name__ == "__main__":
    *ways, last = sys.argv[1:]
    bundle = Path(last)
    PICTURES.mkdir(exist_ok=True)
    if "--from-pictures" in ways:
        draw_from_pictures(bundle, PICTURES / "from_pictures.png")
    else:
        draw_objects(bundle, PICTURES / "objects.png")
        draw_report(bundle, PICTURES / "report.png")
