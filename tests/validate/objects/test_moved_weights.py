from __future__ import annotations

import pytest

from exporter.errors import NoSuchWeights
from exporter.manifest import read_manifest
from exporter.recipe.recipe import Recipe
from tests.validate.proved_bundle import RECIPE as TOY_RECIPE
from validate.objects.reference import load_reference

RECIPE = Recipe.model_validate(TOY_RECIPE | {"model": {"family": "shap-e", "weights": "../w/half"}})


@pytest.fixture
def manifest(toy_bundle):
    found = read_manifest(toy_bundle)
    return found.model_copy(update={"weights": found.weights.model_copy(update={"source": "../w/half"})})


def test_weights_that_a_bundle_names_from_another_folder_are_asked_for(manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoSuchWeights) as raised:
        load_reference(manifest, RECIPE)
    told = str(raised.value)
    assert told.startswith("weights '../w/half': no such folder. ") and "--weights FOLDER" in told
    assert str(tmp_path) in told and "random:" not in told


def test_a_folder_that_a_person_names_is_told_as_such(manifest):
    with pytest.raises(NoSuchWeights, match=r"^weights 'elsewhere/too/deep': no such folder\. Ways on"):
        load_reference(manifest, RECIPE, "elsewhere/too/deep")
