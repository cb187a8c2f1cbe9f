"""The web client reads pictures to the very bits that Python reads."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.pipeline.inputs import PictureInput
from exporter.runtime.inputs.picture import RESAMPLING, PictureReader
from tests.node import run_node

READ = """
import { readPicture } from "./picture.js";
const read = ({ picture, source }) =>
  [...readPicture({ ...picture, data: Uint8Array.from(picture.data) }, "photo", source)];
tell(given.map(read));
"""
REFUSE = """
import { readPicture } from "./picture.js";
try { readPicture(given, "photo", {}); } catch (error) { tell(error.message); }
"""


def test_every_filter_shrinks_and_enlarges_as_pillow_does():
    draw = np.random.default_rng(0)
    cases, wanted = [], []
    for height, width, least_alpha in ((30, 41, 0), (9, 17, 255), (64, 40, 200), (16, 16, 0)):
        picture = draw.integers(0, 256, (height, width, 4), dtype=np.uint8)
        picture[..., 3] = np.maximum(picture[..., 3], least_alpha)
        for filter_ in RESAMPLING:
            for edge in (None, 20):
                source = PictureInput(
                    tensor="x", size=16, shorter_edge=edge, resampling=filter_, mean=(0.48, 0.46, 0.41),
                    std=(0.27, 0.26, 0.28), background=(10, 127, 200),
                )  # fmt: skip
                wanted.append(PictureReader(source).encode([picture])[0])
                given = {"data": picture.ravel().tolist(), "width": width, "height": height}
                cases.append({"picture": given, "source": source.model_dump()})
    found = run_node(READ, cases)
    for case, read, expected in zip(cases, found, wanted, strict=True):
        assert np.array_equal(np.float32(read).reshape(expected.shape), expected), case["source"]


@pytest.mark.parametrize(
    ("width", "height", "told"), [(2, 100, "are a strip"), (16384, 8192, "at most 67 million pixels")]
)
def test_a_strip_and_what_is_too_large_are_refused(width, height, told):
    script = """
import { readPicture } from "./picture.js";
const data = { length: 4 * given.width * given.height };
try { readPicture({ data, ...given }, "photo", {}); } catch (error) { tell(error.message); }
"""
    assert told in run_node(script, {"width": width, "height": height})


def test_words_are_no_picture():
    script = """
import { WebBundle } from "./index.js";
const files = { manifest: { inputs: { photo: { kind: "picture" } }, stages: {}, assets: {} } };
try { await new WebBundle(files, {}).generate("a mug"); } catch (error) { tell(error.message); }
"""
    assert run_node(script).startswith("this bundle takes a picture, not words: a file, a canvas")


@pytest.mark.parametrize("picture", [None, "photo.png", {"data": [1, 2, 3], "width": 1, "height": 1}])
def test_what_is_no_picture_is_refused(picture):
    assert run_node(REFUSE, picture).startswith("input 'photo' has to be a picture {data, width, height}")


def test_an_object_is_framed_and_resized_as_floats_to_the_same_bits():
    draw = np.random.default_rng(1)
    clear = np.zeros((37, 52, 4), np.uint8)
    clear[4:31, 9:40] = draw.integers(0, 256, (27, 31, 4), dtype=np.uint8)
    plain = np.full((41, 33, 4), 255, np.uint8)
    plain[..., :3] = 240 + draw.integers(0, 12, (41, 33, 3), dtype=np.uint8)
    plain[8:30, 6:25, :3] = draw.integers(0, 200, (22, 19, 3), dtype=np.uint8)
    cases, wanted = [], []
    for picture in (clear, plain):
        for size, share, grey in ((24, 0.85, 0.5), (64, 0.7, 1.0)):
            framing = {"share": share, "background": grey, "tolerance": 16}
            source = PictureInput(
                tensor="x", size=size, resampling="bilinear", resized_as="floats", mean=(0, 0.1, 0), std=(1, 1, 0.3),
                framing=framing,
            )  # fmt: skip
            wanted.append(PictureReader(source).encode([picture])[0])
            given = {"data": picture.ravel().tolist(), "width": picture.shape[1], "height": picture.shape[0]}
            cases.append({"picture": given, "source": source.model_dump()})
    for read, expected in zip(run_node(READ, cases), wanted, strict=True):
        assert np.array_equal(np.float32(read).reshape(expected.shape), expected)


@pytest.mark.parametrize("told", ["nothing in it", "neither transparent nor plain"])
def test_what_cannot_be_cut_out_is_refused(told):
    pixels = np.full((20, 20, 4), 255, np.uint8)
    if told.startswith("neither"):
        pixels[..., :3] = np.random.default_rng(2).integers(0, 256, (20, 20, 3))
    source = PictureInput(
        tensor="x", size=8, resampling="bilinear", mean=(0, 0, 0), std=(1, 1, 1),
        framing={"share": 0.85, "background": 0.5, "tolerance": 16},
    )  # fmt: skip
    script = READ.replace("tell(given.map(read));", "try { read(given); } catch (error) { tell(error.message); }")
    picture = {"data": pixels.ravel().tolist(), "width": 20, "height": 20}
    assert told in run_node(script, {"picture": picture, "source": source.model_dump()})
