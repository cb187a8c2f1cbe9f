"""A Point-E of the zoo: networks and CLIP's halves in folders that models share."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel

from exporter.errors import RecipeError, WeightsError
from exporter.families.point_e import zoo_files
from exporter.families.point_e.networks import DiffusionSize, DistanceSize, PointDiffusion, SignedDistance
from exporter.families.point_e.point_e_model import load
from exporter.families.point_e.zoo_files import BASE, DISTANCE, POINTS, UPSAMPLER
from exporter.recipe.recipe_file import load_recipe
from exporter.recipe.weights_name import ZOO
from tests.pages import ROOT
from training.package_point_e import published

GRID = 16


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """Two tiny models that share an upsampler and a signed distance."""
    shutil.copytree(ZOO / "shap_e_mini", tmp_path / "shap_e_mini")
    own = json.loads((tmp_path / "shap_e_mini/text_encoder/config.json").read_text())["projection_dim"]
    for folder in ("point_e_mini", "point_e_mini_image"):
        (tmp_path / folder).mkdir()
    torch.manual_seed(0)
    networks = {
        f"point_e_mini/{BASE}": PointDiffusion(DiffusionSize(64, 1, "vector", own)),
        f"point_e_mini_image/{BASE}": PointDiffusion(DiffusionSize(64, 1, "grid", GRID)),
        f"point_e_mini/{UPSAMPLER}": PointDiffusion(DiffusionSize(64, 1, "grid", GRID, upsamples=True)),
        f"point_e_mini/{DISTANCE}": SignedDistance(DistanceSize(64, 1, 1)),
    }
    for name, network in networks.items():
        save_file(published(network), tmp_path / name)
    shared = {"num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    tower = CLIPVisionModel(CLIPVisionConfig(hidden_size=GRID, intermediate_size=32, **shared))
    tower.save_pretrained(tmp_path / "point_e_mini_image/image_encoder")
    monkeypatch.setattr(zoo_files, "ZOO", tmp_path)
    monkeypatch.setattr("exporter.families.part_files.ZOO", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "recipe", "encoder"),
    [
        ("point-e-mini", "point_e_fp32.yaml", "text_encoder"),
        ("point-e-mini-image", "point_e_image_fp32.yaml", "image_encoder"),
    ],
)
def test_a_model_takes_what_it_lacks_from_the_other(zoo, name, recipe, encoder):
    model = load(name)
    pipeline = model.pipeline(load_recipe(ROOT / "recipes" / recipe))
    assert model.trained and model.points == POINTS and next(iter(pipeline.stages)) == encoder
    assert pipeline.stages["cloud"].outputs[0].shape[1] == sum(POINTS)
    assert {file.part for file in model.weights_files} == {
        "base", "upsampler", "distance", "text_encoder", "tokenizer", "image_encoder"
    }  # fmt: skip
    makers = model.modules(load_recipe(ROOT / "recipes" / recipe))
    first = pipeline.stages[encoder]
    given = torch.zeros(1, *first.inputs[0].shape[1:], dtype=getattr(torch, first.inputs[0].dtype))
    made = makers[encoder]()(given)
    made = made if isinstance(made, tuple) else (made,)
    assert [tuple(one.shape[1:]) for one in made] == [spec.shape[1:] for spec in first.outputs]


def test_its_clip_is_its_own(zoo):
    with pytest.raises(RecipeError, match="'point-e-mini' has its own"):
        load("point-e-mini", clip="somewhere")


def test_a_file_of_another_model_is_told(zoo):
    save_file({"wrapped.x": torch.zeros(1)}, zoo / "point_e_mini" / UPSAMPLER)
    with pytest.raises(WeightsError, match="python -m training point-e"):
        load("point-e-mini")


def test_where_it_does_not_ship_the_name_is_sought_as_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo_files, "ZOO", tmp_path)
    with pytest.raises(WeightsError, match="no such file or folder"):
        load("point-e-mini")
