"""Pictures are read to the bits that image processors of `transformers` make of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from exporter.errors import RecipeError
from exporter.pipeline.inputs import PictureInput
from exporter.runtime.inputs.picture import PictureReader, opened, remarks, unturned

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


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4))])
def test_other_arrays_are_refused(pixels):
    with pytest.raises(RecipeError, match=rf"bytes .* are expected, not {pixels.dtype}"):
        reader().encode([pixels])


def test_of_16_bits_the_upper_8_are_taken(tmp_path):
    grey = np.random.default_rng(1).integers(0, 2**16, (20, 20), dtype=np.uint16)
    path = tmp_path / "deep.png"
    Image.fromarray(grey).save(path)
    eight = np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(reader().encode([path]), reader().encode([eight]))
    assert remarks(unturned(path), opened(path)) == ["it has 16 bits a channel: the upper 8 are taken"]


def test_a_palette_and_its_transparent_colour(tmp_path):
    path, drawn = tmp_path / "few.png", Image.fromarray(PIXELS[..., :3]).quantize(16)
    drawn.save(path, transparency=3)
    alpha = np.where(np.asarray(drawn) == 3, 0, 255).astype(np.uint8)
    expected = np.dstack([np.asarray(drawn.convert("RGB")), alpha])
    assert np.array_equal(reader(background=(1, 2, 3)).encode([path]), reader(background=(1, 2, 3)).encode([expected]))
    assert remarks(unturned(path), opened(path)) == ["it is transparent: the background shows through"]


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    path, frames = tmp_path / "moves.webp", [Image.fromarray(PIXELS[..., :3]), Image.new("RGB", (57, 40), "red")]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(reader().encode([path]), reader().encode([frames[0]]))
    assert remarks(unturned(path), opened(path)) == ["it has 2 frames: the first is taken"]


def test_cmyk_is_converted_and_told(tmp_path):
    path = tmp_path / "print.tiff"
    Image.fromarray(PIXELS[..., :3]).convert("CMYK").save(path)
    assert np.array_equal(reader().encode([path]), reader().encode([Image.open(path).convert("RGB")]))
    assert remarks(unturned(path), opened(path)) == ["it is in CMYK: its colours are converted without a profile"]


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_numbers_that_are_no_bytes_are_refused(mode):
    with pytest.raises(RecipeError, match=rf"8 or 16 bits a channel .* mode {mode}; save it as"):
        reader().encode([Image.new(mode, (8, 8))])


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.png"
    for size in ((8300, 8300), (20000, 20000)):
        Image.new("1", size).save(path)
        with pytest.raises(RecipeError, match=r"huge\.png: at most 67 million pixels are taken"):
            reader().encode([path])


def test_a_strip_is_refused():
    with pytest.raises(RecipeError, match=r"2 x 100 pixels are a strip.* at most 32 times"):
        reader().encode([Image.new("RGB", (2, 100))])


def test_a_file_that_ends_too_soon_names_itself(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(PIXELS[..., :3]).resize((400, 300)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(RecipeError, match=r"cut\.jpg: it cannot be read: .*the file is damaged"):
        reader().encode([path])


def test_an_open_file_is_a_picture_too(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    with (tmp_path / "photo.png").open("rb") as file:
        assert np.array_equal(reader().encode([file]), reader().encode([PIXELS]))


def test_nothing_is_cut_out_of_less_than_it():
    with pytest.raises(ValueError, match="shorter_edge 12 is less than the size 16"):
        reader(shorter_edge=12)
