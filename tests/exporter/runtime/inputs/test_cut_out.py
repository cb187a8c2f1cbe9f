"""A plain background is removed as far as it is connected with the border; what is done is said."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from exporter.errors import RecipeError
from exporter.runtime.inputs.cut_out import TOLERANCE, cut_out


def disc(background=(200, 210, 190), inner=(200, 210, 190)) -> Image.Image:
    """A red ring around a middle of its own colour."""
    drawn = Image.new("RGB", (60, 50), background)
    ImageDraw.Draw(drawn).ellipse((15, 10, 45, 40), fill="red")
    ImageDraw.Draw(drawn).ellipse((25, 20, 35, 30), fill=inner)
    return drawn


def test_the_background_goes_and_its_colour_inside_the_object_stays():
    cut = cut_out(disc())
    alpha = np.asarray(cut.picture)[..., 3]
    assert cut.picture.mode == "RGBA" and set(np.unique(alpha)) == {0, 255}
    red = np.asarray(disc())[..., 0] == 255
    assert (alpha[red] == 255).all() and alpha[25, 30] == 255 and alpha[0, 0] == alpha[49, 59] == 0
    assert cut.share == pytest.approx((alpha == 0).mean()) and cut.color == (200, 210, 190)
    assert cut.told() == (
        f"removed {cut.share:.0%} of it: all that is connected with its border and within {TOLERANCE} levels of sRGB "
        "(200, 210, 190)"
    )


def test_noise_and_shadow_of_a_photo_are_background_too():
    noisy = (
        np.asarray(disc()).astype(int) + np.random.default_rng(0).normal(0, 6, (50, 60, 3)) - np.arange(60)[:, None] / 3
    )
    plain = np.asarray(cut_out(disc()).picture)[..., 3]
    found = np.asarray(cut_out(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))).picture)[..., 3]
    assert (found == plain).mean() > 0.97


def test_a_colour_further_from_the_borders_stays():
    near, far = (tuple(c + step for c in (100, 100, 100)) for step in (TOLERANCE, TOLERANCE + 1))
    drawn = Image.new("RGB", (30, 30), (100, 100, 100))
    ImageDraw.Draw(drawn).rectangle((5, 5, 12, 12), fill=near)
    ImageDraw.Draw(drawn).rectangle((18, 18, 25, 25), fill=far)
    alpha = np.asarray(cut_out(drawn).picture)[..., 3]
    assert alpha[8, 8] == 0 and alpha[20, 20] == 255


def test_a_transparent_picture_is_left_alone():
    clear = Image.new("RGBA", (20, 20), (9, 9, 9, 0))
    cut = cut_out(clear)
    assert np.array_equal(cut.picture, clear) and cut.told() == "it is transparent already: nothing was removed"


def test_a_busy_background_is_refused():
    busy = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    with pytest.raises(RecipeError, match=r"not plain: only \d+% of the border"):
        cut_out(Image.fromarray(busy))


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(RecipeError, match="nothing would be left"):
        cut_out(Image.new("RGB", (20, 20), "white"))
