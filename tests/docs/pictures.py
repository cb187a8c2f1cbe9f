"""The pictures of the documents, from a bundle that was validated: `python -m tests.docs.pictures BUNDLE`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from t3export.cli import run
from tests.browser import chromium
from tests.pages import ROOT

PICTURES = ROOT / "docs/pictures"
# What the small model is good at.
PROMPTS = ("a cyan mushroom", "a green table", "a purple bowl", "an orange ball", "a yellow donut")
PIXELS = 160
COLORS = 128


def draw_objects(bundle: Path, out: Path) -> None:
    """A row of what comes out, by the bundle's own renderer."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = [word for prompt in PROMPTS for word in ("--prompt", prompt)]
        image = Path(folder) / "object.png"
        assert run(["run", str(bundle), *wanted, "--image", str(image), "--pixels", str(PIXELS)]) == 0
        parts = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("*.png"))]
    row = Image.new("RGB", (PIXELS * len(parts), PIXELS), "white")
    for number, part in enumerate(parts):
        row.paste(part, (PIXELS * number, 0))
    row.save(out, optimize=True)


def draw_report(bundle: Path, out: Path) -> None:
    """The upper part of the page of its last validation, in few colours."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 1000})
        page.goto((bundle / "reports/report.html").resolve().as_uri())
        page.wait_for_timeout(1000)
        page.screenshot(path=out)
    Image.open(out).convert("RGB").quantize(COLORS).save(out, optimize=True)


if __name__ == "__main__":
    bundle = Path(sys.argv[1])
    PICTURES.mkdir(exist_ok=True)
    draw_objects(bundle, PICTURES / "objects.png")
    draw_report(bundle, PICTURES / "report.png")
