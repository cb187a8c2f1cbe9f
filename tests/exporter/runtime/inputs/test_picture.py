"""Pictures are read to the bits that image processors of `transformers` make of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from exporter.errors import RecipeError
from exporter.pipeline.inputs import PictureInput
from exporter.runtime.inputs.picture import PictureReader

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 57, 4), dtype=np.uint8)
PLAIN = {"tensor": "x", "size": 16, "resampling": "bicubic", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def reader(**changes) -> PictureReader:
    return PictureReader(PictureInput(**PLAIN | changes))


@pytest.mark.parametrize("edge", [16, 24])
def test_the_bits_are_those_of_transformers(edge):
    from transformers import CLIPImageProcessorPil

    own = CLIPImageProcessorPil(size={"shortest_edge": edge}, crop_size={"height": 16, "width": 16})
    opaque = Image.fromarray(PIXELS[..., :3])
    expected = own(opaque, return_tensors="np")["pixel_values"]
    found = reader(shorter_edge=edge, mean=tuple(own.image_mean), std=tuple(own.image_std)).encode([opaque])
    assert found.dtype == np.float32 and np.array_equal(found, expected)


def test_both_edges_are_resized_where_no_shorter_one_is_named():
    whole = np.asarray(Image.fromarray(PIXELS[..., :3]).resize((16, 16), Image.Resampling.BICUBIC))
    found = reader().encode([PIXELS[..., :3]])[0]
    assert np.allclose(found, whole.transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)


def test_the_background_shows_where_a_picture_is_transparent():
    clear = PIXELS.copy()
    clear[..., 3] = 0
    found = reader(background=(255, 0, 51)).encode([clear])[0]
    assert np.allclose(found, np.array([1.0, -1.0, -0.6])[:, None, None], atol=1e-6)


def test_a_file_is_turned_as_its_camera_was_held(tmp_path):
    path, exif = tmp_path / "photo.png", Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    Image.fromarray(PIXELS[..., :3]).save(path, exif=exif)
    turned = np.rot90(PIXELS[..., :3], -1)
    assert np.array_equal(reader().encode([path]), reader().encode([np.ascontiguousarray(turned)]))


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "no such file"), (b"\x89PNG\r\n\x1a\nrest", "cannot be read"), (b"text", "cannot be read")],
)
def test_what_is_no_picture_names_its_file(tmp_path, content, told):
    path = tmp_path / "photo.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=rf"photo\.png: .*{told}"):
        reader().encode([path])


def test_other_arrays_and_16_bits_are_refused():
    with pytest.raises(RecipeError, match=r"bytes .* are expected, not float32"):
        reader().encode([np.zeros((4, 4, 3), np.float32)])
    with pytest.raises(RecipeError, match="8 bits a channel"):
        reader().encode([Image.fromarray(np.zeros((4, 4), np.uint16))])


def test_nothing_is_cut_out_of_less_than_it():
    with pytest.raises(ValueError, match="shorter_edge 12 is less than the size 16"):
        reader(shorter_edge=12)
