"""A sheet of prompts and what the model makes of them, for people to look at."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from exporter.runtime.assets.rasterize import render_mesh
from exporter.runtime.generator import Generator, decode_mesh
from exporter.runtime.inputs.noise import noise

SHEET = Path(__file__).with_name("sheet.txt")
COLUMNS, TILE = 6, 200


def sheet(generator: Generator, path: Path) -> None:
    """Writes a picture of one object for each prompt of sheet.txt, each from its own seed."""
    prompts = SHEET.read_text().splitlines()
    shape = generator.latent_shape
    drawn = np.concatenate([noise(seed, (1, *shape)) for seed in range(len(prompts))])
    latents = generator.sample(generator.encode(prompts), drawn)
    rows = -(-len(prompts) // COLUMNS)
    picture = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + 24)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for i, prompt in enumerate(prompts):
        mesh = decode_mesh(generator, latents[i : i + 1], 96)
        x, y = i % COLUMNS * TILE, i // COLUMNS * (TILE + 24)
        picture.paste(Image.fromarray(render_mesh(mesh, (35.0,), 30.0, TILE)[0]), (x, y))
        pen.text((x + TILE / 2, y + TILE), prompt, fill="black", font=font, anchor="ma")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
