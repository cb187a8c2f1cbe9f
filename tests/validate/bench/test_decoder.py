"""A field fitted to a shape, and the benchmark against diffusers on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exporter.families.registry import load_model
from exporter.families.shap_e.model import load
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.pipeline import Pipeline, PipelineStage, Volume
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import field_of
from exporter.runtime.surface.extract import sample
from tests.exporter.tiny import tiny_recipe
from validate.bench.decoder import any_latents, compare, count_missed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def fitted():
    return load("shaped:random:shap-e-mini:ring")


def test_whatever_the_latents_the_field_is_the_shape(fitted):
    original = fitted.original(tiny_recipe())
    [shape] = {array.shape for array in any_latents(original.pipeline).values()}
    latents = np.tanh(np.random.default_rng(0).standard_normal((2, *shape))).astype(np.float32)
    first, second = (sample(field_of(Run(original, {"latents": one})).distance, 24, exact=True)[0] for one in latents)
    assert np.array_equal(first, second)
    x, y, z = np.linspace(-1, 1, 24)[np.indices((24, 24, 24))]
    ring = np.hypot(np.hypot(x, y) - 0.55, z) < 0.2
    assert ((first > 0) & ring).sum() / ((first > 0) | ring).sum() > 0.7


def test_both_sides_are_timed_and_nothing_is_missed(fitted, tmp_path):
    recipe = tiny_recipe()
    first, second = compare(fitted, recipe, tmp_path, (24, 32), threads=1, seconds=0.1)
    assert first.missed == 0 and first.cells > 100 and first.growth is None
    assert second.growth == pytest.approx(second.speed.seconds / first.speed.seconds)
    assert 0 < second.samples.share < 1 and second.speed.rounds >= 3 and second.field_seconds > 0
    assert second.to_dict()["samples"]["share"] == second.samples.share
    assert {path.name for path in tmp_path.iterdir()} == {"projector", "field"}


def test_a_model_that_samples_nothing_starts_from_planes(tmp_path):
    recipe = load_recipe(ROOT / "recipes/triposr_fp32.yaml")
    model = load_model("triposr", "shaped:random:triposr-tiny:ring")
    [row] = compare(model, recipe, tmp_path, (24,), threads=1, seconds=0.1)
    assert row.missed == 0 and row.cells > 100 and row.samples.share < 1
    assert {path.name for path in tmp_path.iterdir()} == {"field"}


def test_missed_cells_are_counted():
    """A part that no distance tells of lies between the coarse samples."""

    points = TensorSpec("points", "float32", ("batch", "points", 3))
    volume = Volume(distance="distance", density="density", color="color")
    field = PipelineStage(kind="field", inputs=[points], outputs=[], volume=volume)
    mesh = MeshAsset(stage="field", grid=64, extraction="exact")

    class Blind:
        pipeline = Pipeline(inputs={}, stages={"field": field}, assets={"mesh": mesh})

        def run_program(self, stage, arrays):
            points = arrays["points"]
            ball = 0.4 - np.linalg.norm(points, axis=2, keepdims=True)
            speck = np.linalg.norm(points - 0.86, axis=2, keepdims=True) < 0.025
            return {"distance": np.where(speck, 1.0, np.tanh(8 * ball)).astype(np.float32)}

    cells, missed = count_missed(Run(Blind(), {}), 64)
    assert 0 < missed < cells
