"""The files that OpenAI published, written here from the same weights as a folder in the hub's layout."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import yaml

from exporter.errors import RecipeError, WeightsError
from exporter.families.registry import load_model
from exporter.families.shap_e import openai_files as own
from exporter.files.atomic import sha256_of
from tests.exporter.families.shap_e.layouts import openai_files, openai_image_files
from tests.exporter.tiny import tiny_recipe, write_tiny_shap_e
from tests.exporter.tiny_image import image_recipe, write_tiny_shap_e_image


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_tiny_shap_e(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def files(plain, tmp_path):
    return openai_files(plain, tmp_path / "openai")


def load(folder, **settings):
    return load_model("shap-e", str(folder), **settings)


def add(file, **tensors):
    torch.save(torch.load(file, weights_only=True) | tensors, file)


def test_either_decoder_gives_the_same_renderer(files, plain):
    openai_files(plain, files.parent / "other", "transmitter.pt")
    shutil.copyfile(files.parent / "other/transmitter.pt", files / "transmitter.pt")
    models = [load(files, decoder=decoder) for decoder in ("transmitter", "decoder", None)]
    taken = [{file.name for file in model.weights_files} & {"transmitter.pt", "vector_decoder.pt"} for model in models]
    assert taken == [{"transmitter.pt"}, {"vector_decoder.pt"}, {"transmitter.pt"}]
    first, second, _ = (model.renderer().state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert models[0].weights_digest != models[1].weights_digest


def test_a_decoder_that_is_not_there_is_refused(files):
    with pytest.raises(WeightsError, match=r"transmitter.pt is missing .*; there is .*vector_decoder.pt"):
        load(files, decoder="transmitter")
    (files / "vector_decoder.pt").unlink()
    with pytest.raises(WeightsError, match=r"decoder of the latents is missing, transmitter.pt or vector_decoder.pt"):
        load(files)


def test_heads_come_from_the_configuration(files, plain):
    heads = json.loads((plain / "prior/config.json").read_text())["num_attention_heads"]
    assert load(files).configs["prior"]["num_attention_heads"] == heads != 1
    inner = {"name": "CLIPImagePointDiffusionTransformer", "heads": 1}
    (files / "text_cond_config.yaml").write_text(yaml.safe_dump({"inner": inner}))
    assert not torch.equal(
        load(files).prior().transformer_blocks[0].attn1.to_q.weight,
        load(plain).prior().transformer_blocks[0].attn1.to_q.weight,
    )


def test_without_a_configuration_the_heads_are_the_published_ones(plain, tmp_path):
    folder = openai_files(plain, tmp_path / "openai", with_yaml=False)
    assert load(folder).configs["prior"]["num_attention_heads"] == 16


@pytest.mark.parametrize("content", ["[1, 2]", "inner: 3", "a: [", "\x00"])
def test_a_configuration_that_is_none_is_refused(files, content):
    (files / "text_cond_config.yaml").write_text(content)
    with pytest.raises(WeightsError, match=r"(?s)text_cond_config.yaml: not .*or leave it out"):
        load(files)


def test_files_are_known_by_their_sha256(files, monkeypatch):
    digest = sha256_of(files / "text_cond.pt")
    monkeypatch.setitem(own.SHA256, "text_cond.pt", digest)
    (note,) = load(files).weights_notes
    assert note == (
        "text_cond.pt: as OpenAI published, by sha256; vector_decoder.pt: not the published files, by sha256"
    )


def test_clip_is_taken_from_where_the_recipe_says(files, tmp_path):
    (files / "clip-vit-large-patch14").rename(tmp_path / "clip")
    model = load(files, clip=str(tmp_path / "clip"))
    assert {file.name for file in model.weights_files if file.part == "text_encoder"} == {
        "config.json",
        "model.safetensors",
    }
    assert model.text_encoder()


def test_settings_of_these_files_are_refused_for_others(plain):
    with pytest.raises(RecipeError, match=r"model.decoder: 'transmitter' is given, and .*leave this field out"):
        load(plain, decoder="transmitter")
    with pytest.raises(RecipeError, match=r"model.clip"):
        load_model("shap-e", "random:shap-e-mini", clip="here")


def test_an_unknown_tensor_is_named(files):
    add(files / "text_cond.pt", **{"wrapped.backbone.resblocks.0.attn.c_gate.weight": torch.zeros(2)})
    with pytest.raises(WeightsError, match=r"transformer_blocks.0.attn.c_gate.weight \[2\] is unexpected"):
        load(files).prior()


def test_the_image_model_under_the_text_models_name_is_known(files):
    tensors = torch.load(files / "text_cond.pt", weights_only=True)
    tensors["wrapped.clip_embed.1.weight"] = tensors.pop("wrapped.clip_embed.weight")
    torch.save(tensors, files / "text_cond.pt")
    with pytest.raises(WeightsError, match=r"this is the image model"):
        load(files)


def test_a_file_of_something_else_is_refused(files):
    torch.save({"weight": torch.zeros(2)}, files / "vector_decoder.pt")
    with pytest.raises(WeightsError, match=r"vector_decoder.pt: has no renderer.nerstf.mlp or no params_proj"):
        load(files)
    torch.save({"weight": torch.zeros(2)}, files / "text_cond.pt")
    with pytest.raises(WeightsError, match=r"text_cond.pt: has no wrapped.pos_emb"):
        load(files)


def test_the_pipeline_is_that_of_the_hubs_layout(files, plain):
    recipe = tiny_recipe()
    assert load(files).pipeline(recipe) == load(plain).pipeline(recipe)


@pytest.fixture(scope="module")
def plain_image(tmp_path_factory):
    return write_tiny_shap_e_image(tmp_path_factory.mktemp("plain_image"))


def test_the_image_models_files_give_the_tensors_of_the_hubs_layout(plain_image, tmp_path):
    found = load_model("shap-e-image", str(openai_image_files(plain_image, tmp_path / "openai")))
    plain, recipe = load_model("shap-e-image", str(plain_image)), image_recipe(["a.png"])
    assert found.pipeline(recipe).stages == plain.pipeline(recipe).stages
    for ours, theirs in (
        (found.image_encoder(), plain.image_encoder()),
        (found.prior(), plain.prior()),
        (found.renderer(), plain.renderer()),
    ):
        other = theirs.state_dict()
        for name, tensor in ours.state_dict().items():
            if name not in ("clip_mean", "clip_std", "void.background"):
                assert torch.equal(tensor, other[name]), name
    assert {file.name for file in found.weights_files if file.part == "prior"} == {
        "image_cond.pt",
        "image_cond_config.yaml",
    }


def test_each_family_names_the_other_for_its_files(files, plain_image, tmp_path):
    of_pictures = openai_image_files(plain_image, tmp_path / "image")
    with pytest.raises(WeightsError, match=r"the model that takes texts; give it to family shap-e; .*text_cond"):
        load_model("shap-e-image", str(files))
    with pytest.raises(WeightsError, match=r"this is the image model; give it to family shap-e-image"):
        load(of_pictures)
    shutil.copyfile(files / "text_cond.pt", of_pictures / "image_cond.pt")
    with pytest.raises(WeightsError, match=r"this is the text model; give it to family shap-e$"):
        load_model("shap-e-image", str(of_pictures))
