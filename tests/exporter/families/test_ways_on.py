"""A message about weights that cannot be used ends with ones that the same family can."""

from __future__ import annotations

import re

import pytest

from exporter.errors import UnusableWeights
from exporter.families.registry import families, load_model, ways_on
from exporter.recipe.recipe_file import load_recipe
from exporter.recipe.weights_name import require_there
from t3export.options import checked_recipe
from tests.pages import ROOT

RECIPES = {path.stem: load_recipe(path) for path in sorted((ROOT / "recipes").glob("*.yaml"))}
BUILT_IN = [family for family in families() if ways_on(family)]


def named(family: str) -> set[str]:
    return set(re.findall(r"(?<!\w)'([^' ]+)'", ways_on(family)))


def shipped(family: str) -> set[str]:
    """The trained weights that the family's recipes have."""
    weights = {recipe.weights for recipe in RECIPES.values() if recipe.model.family == family}
    return {name for name in weights if not name.startswith("random:")}


@pytest.mark.parametrize("family", BUILT_IN)
def test_they_are_there_and_no_other_familys(family: str) -> None:
    assert any(name.startswith("random:") for name in named(family))
    for name in named(family):
        require_there(name)
    others = set().union(*(named(other) | shipped(other) for other in BUILT_IN if other != family))
    assert named(family).isdisjoint(others)
    assert not shipped(family) or named(family) & shipped(family)


@pytest.mark.parametrize("family", BUILT_IN)
def test_weights_that_are_nowhere_end_with_them(family: str) -> None:
    with pytest.raises(UnusableWeights) as raised:
        load_model(family, "/no/where")
    assert str(raised.value).endswith(ways_on(family)) and str(raised.value).count("Ways on") == 1


def test_so_does_a_recipe_that_is_only_checked() -> None:
    with pytest.raises(UnusableWeights, match="'shap-e-mini-image'") as raised:
        checked_recipe(ROOT / "recipes/shape_e_image_fp32.yaml", (), "/no/where")
    assert "'shap-e-mini'" not in str(raised.value)
