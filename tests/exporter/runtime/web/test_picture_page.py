"""A page's files and canvases are read to the very bits that Python reads, in headless Chromium."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporter.pipeline.inputs import PictureInput
from exporter.runtime.inputs.picture import PictureReader
from tests.browser import chromium
from tests.node import CLIENT

SOURCE = PictureInput(
    tensor="x", size=16, shorter_edge=20, resampling="bicubic", mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28)
)
PIXELS = np.random.default_rng(5).integers(0, 256, (40, 57, 3), dtype=np.uint8)
READ = """async ([bytes, as, source]) => {
    const { pictureOf, readPicture } = await import("/picture.js");
    const file = new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], "photo.png");
    let given = file;
    if (as !== "file") {
        const bitmap = await createImageBitmap(file);
        given = document.createElement("canvas");
        [given.width, given.height] = [bitmap.width, bitmap.height];
        given.getContext("2d").drawImage(bitmap, 0, 0);
    }
    try { return [...readPicture(await pictureOf(given), "photo", source)]; } catch (error) { return error.message; }
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(CLIENT)))
    Thread(target=server.serve_forever, daemon=True).start()
    with chromium() as browser:
        opened = browser.new_page()
        opened.goto(f"http://127.0.0.1:{server.server_port}/package.json")
        yield opened
    server.shutdown()


def stored(picture: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def read(page, data: bytes, given: str = "file") -> Any:
    return page.evaluate(READ, [base64.b64encode(data).decode(), given, SOURCE.model_dump()])


@pytest.mark.parametrize("given", ["file", "canvas"])
def test_the_bits_are_pythons(page, given):
    expected = PictureReader(SOURCE).encode([PIXELS])[0]
    assert np.array_equal(np.float32(read(page, stored(Image.fromarray(PIXELS)), given)).reshape(3, 16, 16), expected)


def test_a_file_is_turned_as_its_camera_was_held(page):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = stored(Image.fromarray(PIXELS), exif=exif)
    expected = PictureReader(SOURCE).encode([io.BytesIO(data)])[0]
    assert np.array_equal(np.float32(read(page, data)).reshape(3, 16, 16), expected)


def test_what_the_browser_cannot_decode_names_its_file(page):
    assert read(page, b"no picture").startswith("photo.png: the browser cannot decode it")
