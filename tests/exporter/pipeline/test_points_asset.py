"""Points as what a pipeline ends in."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from exporter.errors import RecipeError
from exporter.pipeline.assets import PointsAsset
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.pipeline.tensor import TensorSpec


def spec(name, *shape):
    return TensorSpec(name, "float32", ("batch", *shape))


def pipeline(**asset):
    stages = {
        "noise_to_seeds": PipelineStage(kind="sample", inputs=[], outputs=[spec("seeds", 8, 3)]),
        "more": PipelineStage(
            kind="map",
            inputs=[spec("seeds", 8, 3)],
            outputs=[spec("places", 9, 3), spec("paint", 9, 3), spec("flat", 9)],
        ),
        "other": PipelineStage(kind="map", inputs=[spec("seeds", 8, 3)], outputs=[spec("few", 5, 3)]),
    }
    return Pipeline(inputs={}, stages=stages, assets={"swarm": PointsAsset(**asset)})


@pytest.mark.parametrize("asset", [{"positions": "places", "colors": "paint"}, {"positions": "seeds"}])
def test_tensors_of_any_stage_are_points(asset):
    whole = pipeline(**asset)
    whole.require_sound()
    assert whole.asset(PointsAsset).positions == asset["positions"]


def test_what_decides_over_a_tensor_is_what_makes_it_of_latents():
    whole = pipeline(positions="places")
    assert whole.decoders_of("places") == ["more"] and whole.decoders_of("few") == ["other"]
    # Nothing lies between: the sampler itself.
    assert whole.decoders_of("seeds") == ["noise_to_seeds"]


@pytest.mark.parametrize(
    ("asset", "message"),
    [
        ({"positions": "place"}, "asset 'swarm' is of 'place', which no stage makes; allowed: .*did you mean 'places'"),
        ({"positions": "flat"}, r"asset 'swarm': 'flat' is \['batch', 9\], and places and colours"),
        ({"positions": "places", "colors": "few"}, r"asset 'swarm': 'few' is \['batch', 5, 3\]"),
    ],
)
def test_what_are_no_points_is_refused_by_name(asset, message):
    with pytest.raises(RecipeError, match=message):
        pipeline(**asset).require_sound()


def test_a_range_rises():
    with pytest.raises(ValidationError, match="does not rise"):
        PointsAsset(positions="places", color_range=(255.0, 0.0))
