"""A sheet of prompts and what the model makes of them, for people to look at."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from exporter.runtime.assets.rasterize import render_mesh
from exporter.runtime.batch import made_objects
from exporter.runtime.run import Programs, requests_of
from exporter.runtime.surface.decoded import mesh_of

SHEET = Path(__file__).with_name("sheet.txt")
COLUMNS, TILE = 6, 200


def sheet(programs: Programs, path: Path) -> None:
    """Writes a picture of one object for each prompt of sheet.txt, each from its own seed."""
    prompts = SHEET.read_text().splitlines()
    objects = made_objects(programs, requests_of(programs.pipeline, prompts), range(len(prompts)))
    rows = -(-len(prompts) // COLUMNS)
    picture = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + 24)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for i, (prompt, run) in enumerate(zip(prompts, objects, strict=True)):
        mesh = mesh_of(run, 96)
        x, y = i % COLUMNS * TILE, i // COLUMNS * (TILE + 24)
        picture.paste(Image.fromarray(render_mesh(mesh, (35.0,), 30.0, TILE)[0]), (x, y))
        pen.text((x + TILE / 2, y + TILE), prompt, fill="black", font=font, anchor="ma")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
