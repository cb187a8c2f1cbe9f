from __future__ import annotations

from pathlib import Path

import pytest

from exporter.build.build import build
from exporter.files.cache import Cache
from exporter.targets.target import load_target
from tests.exporter.build.test_build import INT8, in_int8, recipe_of
from tests.exporter.tiny import write_tiny_shap_e


@pytest.fixture(scope="package")
def healthy(tmp_path_factory: pytest.TempPathFactory, step_cache: Cache) -> Path:
    """A bundle with smoothed static INT8, at 23 dB of its denoiser's outputs; not to be changed."""
    folder = tmp_path_factory.mktemp("bisect")
    weights = write_tiny_shap_e(folder / "weights")
    quantization = in_int8("denoiser/*blocks*") | {"smooth": 0.5}
    quantization["rules"] += [{"layers": "projector/*", "precision": "int8_weights"}]
    recipe = recipe_of(weights, quantization=quantization, int8=INT8 | {"stage_snr_db": 0.0})
    build(recipe, load_target("cpu"), folder / "bundle", cache=step_cache, need_gain=False)
    return folder / "bundle"
