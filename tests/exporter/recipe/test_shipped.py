from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import RecipeError
from exporter.recipe.recipe_file import load_recipe
from exporter.recipe.shipped import FOLDER, copy_recipe, description_of, recipe_path, shipped_recipes


def test_a_name_stands_for_a_recipe_that_comes_along_and_a_file_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipe_path(Path("shape_e_int8")) == FOLDER / "shape_e_int8.yaml"
    assert recipe_path(Path("mine.yaml")) == Path("mine.yaml")
    Path("shape_e_int8").write_text("name: mine\n")
    assert recipe_path(Path("shape_e_int8")) == Path("shape_e_int8")


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_copy_is_the_same_recipe_with_all_that_it_is_made_of(name, tmp_path):
    first, *others = copy_recipe(name, tmp_path / "mine")
    assert first == tmp_path / "mine" / f"{name}.yaml" and all(path.is_file() for path in others)
    assert load_recipe(first) == load_recipe(FOLDER / f"{name}.yaml")
    assert description_of(first) == load_recipe(first).description != ""
    assert copy_recipe(name, tmp_path / "mine") == [first, *others]


def test_a_copy_replaces_nothing(tmp_path):
    (tmp_path / "shape_e_fp32.yaml").write_text("name: mine\n")
    with pytest.raises(RecipeError, match=r"shape_e_fp32.yaml is there and is another"):
        copy_recipe("shape_e_int8", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["shape_e_fp32.yaml"]
    with pytest.raises(RecipeError, match="did you mean 'shape_e_int8'"):
        copy_recipe("shape_e_int9", tmp_path)
