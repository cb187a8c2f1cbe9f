"""A tiny random Point-E from words to points: in JavaScript and on ExecuTorch those that Python makes."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.build.build import build
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target
from tests.node import run_node
from tests.pages import ROOT

SMALL = ["model.weights=random:point-e-tiny-text", "sampler.steps=4", "goldens.prompts=[a red chair]", "mesh.grid=16"]
PROMPT, SEED = "a small blue table", 3
POINTS = """
import { pointsOf, WebBundle } from "./index.js";
const bundle = await WebBundle.open(given.bundle);
const { positions, colors } = await pointsOf(bundle.make({ prompt: given.prompt }, { seed: given.seed }));
tell({ positions: [...positions], colors: [...colors] });
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(step_cache, tmp_path_factory):
    """Bundles by target, each built once."""
    folder, known = tmp_path_factory.mktemp("point_e"), {}

    def bundle(target):
        if target not in known:
            recipe = load_recipe(ROOT / "recipes/point_e_fp32.yaml", SMALL)
            build(recipe, load_target(target), folder / target, cache=step_cache, need_gain=False)
            known[target] = folder / target
        return known[target]

    return bundle


@pytest.fixture(scope="module")
def expected(made):
    bundle = Bundle.open(made("cpu"))
    cloud = bundle.points(bundle.make({"prompt": PROMPT}, SEED))
    assert len(cloud.positions) > 100 and np.ptp(cloud.positions, axis=0).min() > 0.1
    return cloud


def relative(wanted, found):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


def close(expected, positions, colors):
    # A colour half-way between two 255ths may go to either.
    return relative(expected.positions, positions) < 1e-3 and np.abs(colors - expected.colors).max() < 1.5 / 255


def test_the_web_client_makes_the_same_points(made, expected):
    found = run_node(POINTS, {"bundle": str(made("web")), "prompt": PROMPT, "seed": SEED})
    assert close(expected, *(np.reshape(found[name], (-1, 3)) for name in ("positions", "colors")))


def test_executorch_makes_the_same_points(made, expected):
    bundle = Bundle.open(made("cpu-executorch"))
    cloud = bundle.points(bundle.make({"prompt": PROMPT}, SEED))
    assert close(expected, cloud.positions, cloud.colors)
