"""The names of weights whose field is a known shape."""

from __future__ import annotations

import pytest

from exporter.errors import WeightsError
from exporter.families.known_shapes import split_name
from exporter.families.shap_e.model import load


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("shaped:random:shap-e-300m", ("random:shap-e-300m", "table")),
        ("shaped:random:shap-e-300m:7:ring", ("random:shap-e-300m:7", "ring")),
        ("shaped:shap-e-mini:balls", ("shap-e-mini", "balls")),
    ],
)
def test_a_name_is_taken_apart(name, parts):
    assert split_name(name) == parts


@pytest.mark.parametrize("name", ["shaped:", "shaped::ring", "shaped:ring:ring", "shaped:shaped:shap-e-mini"])
def test_a_name_without_weights_is_refused(name):
    with pytest.raises(WeightsError):
        load(name)


def test_shaped_weights_are_never_trained_ones():
    model = load("shaped:shap-e-mini:ring")
    assert not model.trained and model.weights_digest != load("shaped:shap-e-mini:table").weights_digest
