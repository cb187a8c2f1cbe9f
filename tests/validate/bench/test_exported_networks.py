"""Networks of the original that other tools exported, those of a tiny random TripoSR."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from exporter.families.registry import load_model
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.run import make, requests_of
from t3export.commands import bench
from validate.bench.torch_sides import BASELINES, TorchSide

ROOT = Path(__file__).parents[3]
CHAIR = str(ROOT / "recipes/pictures/chair.png")


@pytest.fixture(scope="module")
def original():
    recipe = load_recipe(ROOT / "recipes/triposr_fp32.yaml", ["model.weights=random:triposr-tiny"])
    return load_model("triposr", "random:triposr-tiny").original(recipe)


def planes_of(original):
    return make(original, requests_of(original.pipeline, [CHAIR]), [0])["planes"]


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("naive", 1e-5),
        ("torch-bf16", 0.1),
        pytest.param(
            "openvino", 1e-5, marks=pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not here")
        ),
    ],
)
def test_another_form_makes_the_same_planes(original, name, tolerance):
    other, wanted = original.with_network(BASELINES[name].wrap), planes_of(original)
    first, second = planes_of(other), planes_of(other)
    error = np.linalg.norm(first - wanted) / np.linalg.norm(wanted)
    assert 0 < error < tolerance and np.array_equal(first, second)


def test_exporters_do_their_work_before_anything_is_timed(original):
    calls = []
    side = TorchSide(original.with_network(lambda network: calls.append(network) or network))
    side.run_before_places(CHAIR)
    assert {type(network).__name__ for network in calls} == {"ImageTokenizer", "Transformer1D", "TriplaneUpsample"}


def test_every_baseline_can_be_asked_for():
    assert {*bench.BASELINES, *bench.MORE_BASELINES} == set(BASELINES)
