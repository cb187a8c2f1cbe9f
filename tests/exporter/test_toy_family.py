"""A model family in one file is built, run and validated, and nothing else knows of it."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.build.build import build
from exporter.families import registry
from exporter.families.registry import families, load_model, register
from exporter.files.cache import Cache
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target
from tests.exporter.ball_family import RECIPE, Balls
from validate.prove import Options, validate_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    register("balls", Balls)
    folder = tmp_path_factory.mktemp("balls")
    recipe = Recipe.model_validate(RECIPE)
    yield build(recipe, load_target("cpu"), folder / "out", cache=Cache(folder / "cache")).out
    registry._loaders.pop("balls")


def test_it_is_built_and_makes_a_ball_of_the_right_colour(bundle):
    mesh = Bundle.open(bundle).generate("a green ball", seed=1)
    radii = np.linalg.norm(mesh.vertices, axis=1)
    assert radii.std() < 0.02 and 0.3 < radii.mean() < 0.7
    color = mesh.colors.mean(axis=0)
    assert color[1] > 1.5 * max(color[0], color[2])


def test_it_validates(bundle):
    report = validate_bundle(bundle, Options(quality=False))
    assert {rung.status for rung in report.rungs} <= {"passed", "skipped"}, report
    assert sum(rung.status == "passed" for rung in report.rungs) >= 4


def test_it_is_listed_beside_the_others(bundle):
    assert families() == sorted({"balls", *families()}) and "shap-e" in families()
    assert load_model("balls", "x").weights_source == "x"
