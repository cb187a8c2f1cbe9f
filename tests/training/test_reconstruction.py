"""The score of the small TripoSR is the truth's own where the truth is what was made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exporter.families.registry import load_model
from exporter.recipe.recipe_file import load_recipe
from training.objects import Attributes, Object, Scene
from training.scoring.reconstruction import RECIPE, Reconstructions, _score
from training.scoring.reconstructor_card import card
from validate.judge.rprecision import Retrieval

FRAME = (torch.tensor([0.4]), torch.zeros(1, 3), torch.tensor([0.9]))


@pytest.fixture
def original():
    model = load_model("triposr", "random:triposr-tiny")
    return model.original(load_recipe(RECIPE, ["model.weights=random:triposr-tiny"]))


def test_the_true_field_scores_as_the_truth(original, monkeypatch):
    scene = Scene.of([Object(Attributes("table", "red"), 1.1, 1.0, 0.3, np.zeros(6))])
    run = type(original).run_program

    def truthful(self, stage, arrays):
        from training.views import in_world

        if stage != "field":
            return run(self, stage, arrays)
        distance, tone = scene.distances(in_world(torch.from_numpy(arrays["points"]), *FRAME))
        density = 25 * torch.exp(-20 * distance[..., None]).numpy()
        return {"excess": density - 25, "density": density, "color": scene.albedo(tone).numpy()}

    monkeypatch.setattr(type(original), "run_program", truthful)
    iou, chamfer, color = _score(original, scene, FRAME, np.zeros((1, 3, 32, 32), np.float32))
    assert iou == 1 and chamfer < 0.01 and color == 0
    other = Scene.of([Object(Attributes("ball", "blue"), 1.1, 1.0, 0.3, np.zeros(6))])
    iou, chamfer, color = _score(original, other, FRAME, np.zeros((1, 3, 32, 32), np.float32))
    assert iou < 0.6 and chamfer > 0.05 and color > 0.2


def test_nothing_made_is_counted_apart():
    said = Reconstructions(np.array([0.5, 0.0]), np.array([0.1, np.inf]), np.array([0.2, 0.4])).table()
    assert "| volume IoU | 0.250 | 0.250 |" in said and "| Chamfer distance | 0.100 |" in said
    assert "| nothing made | 1 | |" in said


def test_the_card_has_what_was_measured_and_the_configuration():
    found = Retrieval(np.array([True, False]), np.array([1, 3]), np.array([0.5, 0.3]), np.zeros(2), np.zeros(2, int))
    near = Reconstructions(np.array([0.5, 0.25]), np.array([0.1, 0.2]), np.array([0.2, 0.4]))
    told = card(near, {"triposr-mini, from the picture": (found, found)})
    assert "| volume IoU | 0.375 | 0.375 |" in told and '"plane_size": 8' in told
    assert "| triposr-mini, from the picture | 50.0 (9.5–90.5) | 50.0 (9.5–90.5) | 0.400 |" in told
