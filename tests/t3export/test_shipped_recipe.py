"""The sentence that the project is judged by, with the recipe and the weights that ship: INT8 for a Jetson."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.files.cache import Cache
from exporter.manifest import read_manifest
from t3export.cli import run

RECIPE = Path(__file__).parents[2] / "recipes/shape_e_int8.yaml"


def test_the_int8_recipe_becomes_a_kit_for_the_jetson_that_holds_on_onnxruntime(
    step_cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T3EXPORT_CACHE", str(step_cache.folder))
    kit = tmp_path / "kit"
    # Every step of sampling is recorded, calibrated with and compared: eight are as good as sixty-four to see a fault.
    assert run(["build", str(RECIPE), "--target", "orin", "-o", str(kit), "--set", "sampler.steps=8"]) == 0
    manifest = read_manifest(kit)
    assert manifest.weights.trained and manifest.engines and manifest.engines.state != "built"
    assert {manifest.stages[name].precision for name in ("text_encoder", "denoiser", "projector")} == {"int8"}
    # An object's field and renders are the pair's of `make test-recipes`, which takes longer.
    assert run(["validate", str(kit), "--on", "onnxruntime", "--rungs", "stages,steps,latents"]) == 0
