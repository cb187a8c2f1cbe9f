"""A tensor as a picture: its range, where its channels are, and that it is of one object."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from exporter.errors import RecipeError
from exporter.pipeline.assets import ImageAsset, PixelTensor
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.pipeline.tensor import TensorSpec
from exporter.runtime.assets.pictures import picture_of
from exporter.runtime.run import Run

# Red, green and blue of two pixels beside each other, in [0, 1]: what lies outside is black or white.
COLORS = np.array([[[0.0, 0.25, 0.5], [1.0, -3.0, 7.0]]])
BYTES = np.array([[[0, 64, 128], [255, 0, 255]]], np.uint8)


def run_of(values, channels, black=0.0, white=1.0):
    taken = TensorSpec("seen", "float32", ("batch", 2))
    paper = TensorSpec("paper", "float32", ("batch", *values.shape[1:]))
    pixels = PixelTensor(name="paper", range=(black, white), channels=channels)
    pipeline = Pipeline(
        inputs={},
        stages={"painter": PipelineStage(kind="map", inputs=[taken], outputs=[paper])},
        assets={"picture": ImageAsset(stage="painter", pixels=pixels)},
    )
    return Run(SimpleNamespace(pipeline=pipeline), {"paper": values.astype(np.float32)})


@pytest.mark.parametrize(("black", "white"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (1.0, 0.0)])
@pytest.mark.parametrize("channels", ["first", "last"])
def test_the_range_and_the_place_of_the_channels_are_data(channels, black, white):
    values = (black + COLORS * (white - black))[None]
    picture = picture_of(run_of(values if channels == "last" else values.transpose(0, 3, 1, 2), channels, black, white))
    assert picture.dtype == np.uint8 and np.array_equal(picture, BYTES)


def test_a_picture_has_the_size_that_it_has():
    run = run_of(np.zeros((1, 3, 8, 6)), "first")
    assert picture_of(run).shape == picture_of(run, 8).shape == (8, 6, 3)
    with pytest.raises(RecipeError, match="7 pixels: this model's picture is as 'painter' makes it, 6 x 8 pixels"):
        picture_of(run, 7)


def test_of_several_objects_there_is_no_picture():
    with pytest.raises(RecipeError, match="run is of 2 objects, and one is wanted"):
        picture_of(run_of(np.zeros((2, 3, 8, 6)), "first"))
