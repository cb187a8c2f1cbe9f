"""The image prior starts as the text prior, on pictures that stand on plain colours, and learns to use them."""

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from exporter.families.registry import load_model
from exporter.families.shap_e.model import load
from training.clip import on_plain_backgrounds
from training.config import DataConfig, ImageConfig, Schedule
from training.data import sample_objects
from training.example_pictures import FOLDER, NAMED, view
from training.image_prior import Seer, Views, load_views, make_image_prior, train_image_prior
from training.loop import Draw
from training.objects import Attributes, draw
from training.package import IMAGE, package_image

SMALL = DataConfig(image_size=16)
QUICK = ImageConfig(objects=6, layers=(0, 7), prior=Schedule(steps=2, batch=4, rate=1e-3, seed=3, warmup=1))


def tower() -> CLIPVisionModel:
    torch.manual_seed(0)
    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=24, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, image_size=16,
            patch_size=8, projection_dim=8,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> Views:
    return load_views(QUICK, SMALL, tmp_path_factory.mktemp("views"))


def test_it_starts_from_layers_of_the_text_prior():
    source, made = load("shap-e-mini").prior(), make_image_prior(QUICK, 24)
    assert len(made.transformer_blocks) == 2 and made.embedding_proj.in_features == 24
    for own, theirs in zip(made.transformer_blocks, (source.transformer_blocks[i] for i in (0, 7)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(own.parameters(), theirs.parameters(), strict=True))
    assert torch.equal(made.positional_embedding, source.positional_embedding)
    assert torch.equal(made.proj_in.weight, source.proj_in.weight)


def test_a_picture_that_does_not_count_changes_nothing():
    model, draws = Seer(tower(), make_image_prior(QUICK, 24)).eval(), torch.Generator().manual_seed(0)
    pixels, noisy = torch.randn((2, 3, 16, 16), generator=draws), torch.randn((1, 64, 32), generator=draws)
    with torch.inference_mode():
        unseen, seen = (
            model(pixels, torch.full((2,), counts), noisy.expand(2, -1, -1), torch.tensor([300, 300]))
            for counts in (0.0, 1.0)
        )
    assert torch.allclose(unseen[0], unseen[1], atol=1e-5) and not torch.allclose(seen[0], seen[1], atol=1e-3)


def test_backgrounds_are_plain_and_objects_keep_their_colours(views):
    placed = on_plain_backgrounds(views.images, Draw(0, 0))
    empty = (views.images == 255).all(-1)
    assert torch.equal(placed[~empty], views.images[~empty])
    colors = {tuple(placed[i][empty[i]].unique(dim=0)[0].tolist()) for i in range(len(placed))}
    assert all(len(placed[i][empty[i]].unique(dim=0)) == 1 for i in range(len(placed)))
    assert (255, 255, 255) in colors and len(colors) > 2


def test_views_are_made_once_of_objects_of_their_own(views, tmp_path):
    again = load_views(QUICK, SMALL, tmp_path)
    assert torch.equal(again.images, views.images) and torch.equal(again.parameters, views.parameters)
    text_models = torch.tensor(np.stack([o.parameters() for o in sample_objects(0, 6, 1)[0]]))
    assert not torch.equal(text_models, views.parameters)


def test_trained_and_packaged_it_is_a_model_of_the_zoo(views, tmp_path, monkeypatch):
    vision = tower()
    clip = type("Clip", (), {"config": type("C", (), {"vision_config": vision.config}), "vision_model": vision})
    encoder = torch.nn.Sequential(torch.nn.Linear(views.parameters.shape[1], 64 * 32), torch.nn.Tanh())
    seer = train_image_prior(QUICK, views, lambda p: encoder(p).unflatten(1, (64, 32)), clip, tmp_path)
    package_image(seer.tower, seer.prior, tmp_path)
    packaged = tmp_path / IMAGE
    assert {path.name for path in packaged.iterdir()} == {"image_encoder", "image_processor", "prior"}
    monkeypatch.setattr("exporter.families.part_files.ZOO", tmp_path)
    (tmp_path / "shap_e_mini").symlink_to(FOLDER.parents[1] / "exporter" / "zoo" / "shap_e_mini")
    model = load_model("shap-e-image", "shap-e-mini-image")
    assert model.trained and model.encoders()["image_encoder"].inputs[0].shape == ("batch", 3, 16, 16)
    kept, own = seer.tower.state_dict(), model.image_encoder().state_dict()
    assert all(torch.equal(kept[name].float(), own[name]) for name in own)


def test_example_pictures_are_what_training_draws():
    rng = np.random.default_rng(21)
    assert next(iter(NAMED)) == "red_chair" and (FOLDER / "red_chair.png").is_file()
    seen = np.asarray(view(draw(rng, Attributes("chair", "red")), 30.0, 25.0, 32))
    corner, inside = seen[0, 0], seen[(seen < 250).any(axis=2)]
    assert tuple(corner) == (255, 255, 255) and len(inside) > 30
    assert inside[:, 0].mean() > 2 * inside[:, 1].mean()
