"""One step and one object of either side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exporter.families.registry import load_model
from exporter.runtime.bundle import Bundle
from tests.exporter.tiny import RENDER, sampler, write_tiny_shap_e
from validate.table.sides import all_threads, one_object, one_step, with_threads


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return load_model("shap-e", str(write_tiny_shap_e(tmp_path_factory.mktemp("tiny")))).reference(sampler(), RENDER)


def test_a_step_of_the_reference_is_a_guided_prediction(reference):
    step = one_step(reference, "a red chair")
    first = step()
    assert first.shape == (1, 64, 20) and torch.equal(first, step())


def test_a_step_of_a_bundle_is_its_denoiser(toy_bundle):
    found = one_step(Bundle.open(toy_bundle), "a red ball")()
    assert found["prediction"].shape == (1, 2, 4)


def test_an_object_is_made_from_its_prompt(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    mesh = one_object(bundle, "a red ball", 24, exact=False)
    assert np.array_equal(mesh.vertices, bundle.generate("a red ball").vertices) and len(mesh.vertices)


def test_threads_are_set_and_the_bundle_stays_as_it_is(toy_bundle):
    bundle = Bundle.open(toy_bundle)
    own = with_threads(bundle, 3)
    assert own.manifest.target["session"]["threads"] == 3
    assert own.manifest.target["session"]["providers"] == bundle.manifest.target["session"]["providers"]
    assert bundle.manifest.target["session"]["threads"] == 0
    assert all_threads() >= 1
