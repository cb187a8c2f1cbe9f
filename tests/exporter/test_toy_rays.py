"""A pipeline without input, sampler and field: built for every backend, run, validated, benched and quantized."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from exporter.build.build import build
from exporter.errors import BundleError
from exporter.families import registry
from exporter.families.registry import register
from exporter.files.cache import Cache
from exporter.manifest import read_manifest
from exporter.recipe.fit import Misfit
from exporter.recipe.recipe import Recipe
from exporter.runtime.assets.pictures import rendered_picture
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target
from t3export.cli import cli
from tests.exporter.rays_family import RECIPE, LightFieldOriginal, LightFields
from validate.bench.measure import BenchSettings, measure
from validate.prove import Options, validate_bundle

from exporter.machine.meter import Silent

INT8 = {"rules": [{"layers": "light_field/*", "precision": "int8"}]}
TARGETS = ["cpu", "cpu-openvino", "web", "cpu-executorch", "orin"]


def recipe(**changes) -> Recipe:
    return Recipe.model_validate(copy.deepcopy(RECIPE) | changes)


@pytest.fixture(scope="module", autouse=True)
def family():
    register("light-fields", LightFields)
    yield
    registry._loaders.pop("light-fields")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Bundles by target and whether they are quantized, each built once."""
    folder = tmp_path_factory.mktemp("rays")
    known = {}

    def bundle(target, quantized=False):
        if (target, quantized) not in known:
            wanted = recipe(quantization=INT8, name="rays_int8") if quantized else recipe()
            out = folder / f"{target}_{quantized}"
            build(wanted, load_target(target), out, cache=Cache(folder / "cache"), need_gain=False)
            known[target, quantized] = out
        return known[target, quantized]

    return bundle


def stand_in(target: str) -> str | None:
    return "onnxruntime" if target == "orin" else None


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
@pytest.mark.parametrize("target", TARGETS)
def test_it_is_built_renders_and_validates(made, target, quantized):
    folder = made(target, quantized)
    manifest = read_manifest(folder)
    assert (manifest.stages["light_field"].precision == "int8") == quantized or target == "cpu-executorch"
    assert "sampler" not in manifest.recipe and "mesh" not in manifest.recipe
    if target == "web":
        pytest.skip("run by Node.js, in test_it_runs_in_the_browsers_runtime")
    bundle = Bundle.open(folder, stand_in=stand_in(target))
    picture = rendered_picture(bundle.make({}), 24)
    original = rendered_picture(_run_of_original(), 24)
    assert picture.std() > 10
    assert np.abs(picture.astype(int) - original).mean() < (8 if quantized else 0.1)
    report = validate_bundle(folder, Options(stand_in=stand_in(target)))
    status = {rung.name: rung.status for rung in report.rungs}
    assert status == {
        "stages": "passed", "steps": "skipped", "latents": "skipped", "shape": "skipped", "renders": "passed",
        "quality": "skipped",
    }, report  # fmt: skip


def _run_of_original():
    from exporter.runtime.run import make

    wanted = recipe()
    return make(LightFieldOriginal(LightFields("seed 5"), wanted), [{}], [0])
