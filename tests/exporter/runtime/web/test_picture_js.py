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
