"""The web client's PNG files, as Pillow reads them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.node import run_node

SCRIPT = """
import { toPng } from "./png.js";
const { width, height, data } = given;
tell(Buffer.from(toPng({ width, height, data: Uint8ClampedArray.from(data) })).toString("base64"));
"""


@pytest.mark.parametrize(
    ("height", "width"),
    # A row of 257 pixels fills a part of a stored block, 170 rows of 128 more than one.
    [(1, 1), (2, 257), (170, 128)],
)
def test_the_pixels_are_read_again(height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    png = run_node(SCRIPT, {"width": width, "height": height, "data": pixels.ravel().tolist()})
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    # Checks every sum in the file.
    picture.verify()
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    assert picture.mode == "RGB" and np.array_equal(np.asarray(picture), pixels[..., :3])
