"""TripoSR's small model: what is trained is what the family reads of its folder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from exporter.families.registry import load_model
from exporter.families.triposr import triposr
from training.config import Config, ReconstructorConfig, Schedule, ViewConfig
from training.data import sample_objects
from training.package import package_reconstructor
from training.reconstructor import LEVEL, RADIUS, SURFACE, field_loss, train_reconstructor
from training.views import Views, make_chunk

VIEWS = replace(ViewConfig(), objects=4, points=64, image_size=16, views=1)
SMALL = replace(
    ReconstructorConfig(),
    vision_width=32, vision_layers=1, vision_head=16, plane_size=4, width=32, heads=2, layers=2, features=6, neurons=16,
    hidden_layers=2, points=32, shift=1, schedule=Schedule(steps=3, batch=2, rate=1e-3, seed=0, warmup=1, ema=0.5),
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    objects, _ = sample_objects(1, VIEWS.objects, captions=0)
    views = Views(**{key: torch.from_numpy(value) for key, value in make_chunk(VIEWS, objects, 0).items()})
    folder = tmp_path_factory.mktemp("work")
    return [train_reconstructor(SMALL, VIEWS, views, folder) for _ in range(2)]


def test_a_training_that_is_done_gives_its_averages_again(trained):
    first, again = (model.state_dict() for model in trained)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())


def test_the_packaged_model_is_read_as_a_release(trained, tmp_path, monkeypatch):
    config, (trained, _) = replace(Config(), views=VIEWS, reconstructor=SMALL), trained
    (tmp_path / "triposr_mini").mkdir()
    (tmp_path / "triposr_mini/README.md").write_text("a card")
    package_reconstructor(trained, config, tmp_path)
    assert (tmp_path / "triposr_mini/README.md").read_text() == "a card"
    monkeypatch.setattr(triposr, "ZOO_MODELS", {"triposr-mini": tmp_path / "triposr_mini"})
    model = load_model("triposr", "triposr-mini")
    assert model.trained and model.config.planes == (3, 6, 8, 8) and model.config.field == (RADIUS, -1.0, LEVEL)
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for parameter in trained.parameters():
        parameter.data = parameter.data.half().float()
    with torch.inference_mode():
        expected = trained.planes(pixels)
        found = model.planes()(model.vision()[0](pixels))
    assert torch.allclose(found, expected, atol=1e-5)


def test_the_loss_wants_the_surface_at_the_surface_and_its_colour():
    distance = torch.tensor([[-0.1, 0.0, 0.1]])
    albedo = torch.full((1, 3, 3), 0.25)
    right = torch.cat([(SURFACE - distance / 0.03)[..., None], torch.logit(albedo)], -1)
    best = field_loss(right, distance, albedo, 0.03)
    for change in (torch.tensor([0.5, 0, 0, 0]), torch.tensor([-0.5, 0, 0, 0]), torch.tensor([0, 1.0, 0, 0])):
        assert field_loss(right + change, distance, albedo, 0.03) > best
    assert np.exp(SURFACE - 1) == pytest.approx(LEVEL)
