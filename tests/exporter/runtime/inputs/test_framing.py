"""An object is brought into the middle as TripoSR's authors do it, and a plain background is cut out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from exporter.errors import RecipeError
from exporter.families.triposr.triposr_original import read_as_released
from exporter.pipeline.inputs import Framing, PictureInput
from exporter.runtime.inputs.framing import framed, without_plain_background
from exporter.runtime.inputs.picture import PictureReader

FRAMING = Framing(share=0.85, background=0.5, tolerance=24)
DRAW = np.random.default_rng(4)


def cut_out(height, width, box, alpha=255):
    """Noise in a box (top, bottom, left, right) of a transparent picture."""
    top, bottom, left, right = box
    picture = np.zeros((height, width, 4), np.uint8)
    picture[top:bottom, left:right] = DRAW.integers(0, 256, (bottom - top, right - left, 4), dtype=np.uint8)
    picture[top:bottom, left:right, 3] = np.maximum(picture[top:bottom, left:right, 3], min(alpha, 255))
    return picture


def reader(size):
    return PictureReader(
        PictureInput(
            tensor="x", size=size, resampling="bilinear", resized_as="floats", mean=(0, 0, 0), std=(1, 1, 1),
            framing=FRAMING,
        )
    )  # fmt: skip


@pytest.mark.parametrize("box", [(3, 30, 5, 21), (0, 18, 2, 40), (9, 26, 9, 26)])
@pytest.mark.parametrize("alpha", [255, 1])
def test_the_bytes_are_the_authors(box, alpha):
    """Of a picture that needs no other size; their steps are written out beside the family's original."""
    picture = cut_out(33, 47, box, alpha)
    edge = int((max(box[1] - box[0], box[3] - box[2]) - 1) / 0.85)
    expected = read_as_released(Image.fromarray(picture), edge)
    found = reader(edge).encode([picture])[0]
    assert found.shape == (3, edge, edge) and np.array_equal(found, expected)


@pytest.mark.parametrize("size", [16, 64, 75])
def test_another_size_is_pytorchs_to_two_roundings(size):
    picture = cut_out(60, 50, (4, 51, 7, 33))
    assert np.abs(reader(size).encode([picture])[0] - read_as_released(Image.fromarray(picture), size)).max() < 3e-7


def test_the_object_takes_its_share_of_the_middle():
    picture = np.zeros((100, 100, 4), np.uint8)
    picture[10:71, 20:51] = (250, 10, 20, 255)
    square = framed(picture, FRAMING)
    seen = np.argwhere((square != 127).any(axis=-1))
    assert square.shape == (70, 70, 3) and np.array_equal(square[0, 0], [127, 127, 127])
    # 61 rows and 31 columns, of each the last left off, as by the authors.
    assert np.array_equal(np.ptp(seen, axis=0) + 1, [60, 30])
    assert np.allclose(seen.mean(axis=0), 34.5, atol=1)


def test_a_plain_background_is_cut_out_and_what_it_encloses_stays():
    picture = np.full((40, 50, 4), 255, np.uint8)
    picture[..., :3] = (230, 228, 225)
    picture[..., :3] += DRAW.integers(0, 9, (40, 50, 3), dtype=np.uint8)
    picture[10:30, 15:35, :3] = (200, 30, 40)
    picture[18:22, 22:28, :3] = (230, 230, 230)  # as light as the background, inside the object
    alpha = without_plain_background(picture, 24)[..., 3]
    expected = np.zeros((40, 50), np.uint8)
    expected[10:30, 15:35] = 255
    assert np.array_equal(alpha, expected)


def test_an_object_that_reaches_the_border_is_kept():
    picture = np.full((40, 40, 4), 255, np.uint8)
    picture[20:, 10:30, :3] = (0, 90, 0)
    assert without_plain_background(picture, 10)[39, 20, 3] == 255


def test_what_cannot_be_cut_out_is_refused():
    busy = DRAW.integers(0, 256, (30, 30, 3), dtype=np.uint8)
    with pytest.raises(RecipeError, match=r"neither transparent nor plain; cut the object out"):
        reader(16).encode([busy])
    with pytest.raises(RecipeError, match="nothing in it"):
        reader(16).encode([np.full((30, 30, 3), 77, np.uint8)])
    with pytest.raises(RecipeError, match="nothing in it"):
        reader(16).encode([cut_out(30, 30, (4, 5, 4, 9))])


def test_floats_are_resized_one_way_only():
    with pytest.raises(ValueError, match="floats goes with resampling bilinear"):
        PictureInput(
            tensor="x", size=8, resampling="bicubic", resized_as="floats", mean=(0, 0, 0), std=(1, 1, 1)
        )  # fmt: skip
