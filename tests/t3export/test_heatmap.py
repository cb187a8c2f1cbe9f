from __future__ import annotations

import numpy as np

from exporter.search.losses import Loss
from t3export.heatmap import color_of, draw_heatmap


def loss(layer: str, candidate: str, *nsr: float) -> Loss:
    parts = dict(zip(("early", "middle", "late"), nsr, strict=False))
    return Loss("denoiser", layer, "linear", candidate, "denoiser", parts, 0, 0.0)


def colors_in(losses: list[Loss]) -> set[tuple[int, ...]]:
    pixels = np.asarray(draw_heatmap(losses)).reshape(-1, 3)
    return {tuple(int(channel) for channel in color) for color in np.unique(pixels, axis=0)}


def test_every_third_has_its_colour() -> None:
    found = colors_in([loss("a", "int8", 1e-5, 1e-3, 1e-1)])
    assert {color_of(db) for db in (50.0, 30.0, 10.0)} <= found


def test_more_noise_is_redder_and_darker_at_the_ends() -> None:
    red = [color_of(db)[0] - color_of(db)[1] for db in (0.0, 15.0, 25.0, 35.0, 60.0)]
    assert red == sorted(red, reverse=True)
    assert color_of(float("inf")) == color_of(80.0) and color_of(float("-inf")) == color_of(-10.0)


def test_the_picture_grows_with_layers_and_candidates() -> None:
    small = draw_heatmap([loss("a", f"int{bits}", 0.1) for bits in range(9)])
    wide = draw_heatmap([loss("a", f"int{bits}", 0.1) for bits in range(10)])
    tall = draw_heatmap([loss(layer, f"int{bits}", 0.1) for bits in range(9) for layer in "ab"])
    assert wide.width > small.width and wide.height == small.height and tall.height > small.height


def test_a_precision_that_a_layer_cannot_have_is_left_blank() -> None:
    assert color_of(10.0) in colors_in([loss("a", "int8", 0.1), loss("b", "fp16", 1e-6)])


def test_the_caption_is_whole_however_few_the_candidates() -> None:
    pictures = [np.asarray(draw_heatmap([loss("a", f"int{bits}", 0.1) for bits in range(count)])) for count in (1, 12)]
    few, many = ((picture[-20:] < 128).sum() for picture in pictures)
    assert few == many > 0 and (pictures[0][-20:, -4:] == 255).all()
