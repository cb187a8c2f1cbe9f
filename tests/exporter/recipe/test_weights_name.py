from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import NoSuchWeights
from exporter.recipe.recipe_file import load_recipe
from exporter.recipe.weights_name import placed, require_there

FP32 = Path(__file__).parents[3] / "recipes" / "shape_e_fp32.yaml"


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Weights beside a folder of recipes; the working directory is a third folder."""
    (tmp_path / "w" / "half").mkdir(parents=True)
    (tmp_path / "recipes" / "old").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "w" / "half"


def write(path, parent, name="mine", weights=None):
    text = f"extends: {parent}\nname: {name}\n" + (f"model: {{weights: '{weights}'}}\n" if weights else "")
    path.write_text(text)
    return path


@pytest.mark.parametrize("named", ["../w/half", "stress:../w/half", "stress:../w/half:64", "shaped:../w/half:table"])
def test_weights_in_a_recipe_are_sought_from_its_file(tmp_path, weights, named):
    recipe = load_recipe(write(tmp_path / "recipes" / "mine.yaml", FP32, weights=named))
    assert recipe.weights == named.replace("../w/half", str(weights))
    assert recipe.model.weights == named


def test_those_of_a_parent_are_sought_from_the_parent(tmp_path, weights):
    write(tmp_path / "recipes" / "old" / "parent.yaml", FP32, "parent", "../../w/half")
    child = load_recipe(write(tmp_path / "recipes" / "mine.yaml", "old/parent.yaml"))
    assert child.weights == str(weights)


def test_the_digest_of_a_recipe_is_the_same_in_another_place(tmp_path, weights):
    one = load_recipe(write(tmp_path / "recipes" / "mine.yaml", FP32, weights="../w/half"))
    (tmp_path / "moved").mkdir()
    assert load_recipe(write(tmp_path / "moved" / "mine.yaml", FP32, weights="../w/half")).digest == one.digest


def test_on_the_command_line_they_are_sought_from_the_working_directory(tmp_path, weights):
    path = write(tmp_path / "recipes" / "old" / "mine.yaml", FP32)
    for asked in ({"weights": "../w/half"}, {"overrides": ["model.weights=../w/half"]}):
        assert load_recipe(path, **asked).weights == str(weights)


@pytest.mark.parametrize(
    "name", ["shap-e-mini", "openai/shap-e", "random:shap-e-300m", "stress:random:shap-e-mini:64", "stress:shap-e-mini"]
)
def test_names_of_models_are_no_folders(tmp_path, weights, name):
    for folder in ("shap-e-mini", "random"):
        (tmp_path / folder).mkdir()
    assert placed(name, tmp_path) == name
    require_there(name)


@pytest.mark.parametrize("name", ["../w/none", "nothing", "/no/where", "stress:../w/none:64", "shap-e-maxi"])
def test_a_folder_that_is_not_there_is_refused(weights, name):
    with pytest.raises(NoSuchWeights, match="no such folder"):
        require_there(name)
