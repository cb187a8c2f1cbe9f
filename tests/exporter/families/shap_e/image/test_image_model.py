"""Shap-E from a picture equals ShapEImg2ImgPipeline, stage by stage and as a whole, and other models are refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import ShapEImg2ImgPipeline
from PIL import Image

from exporter.errors import WeightsError
from exporter.families.registry import known_parts, load_model, stage_names
from exporter.families.shap_e.random_weights import SHAP_E_IMAGE_300M
from exporter.recipe.fit import parts_of
from exporter.runtime.inputs.picture import PictureReader
from exporter.workshop.parity import compare
from tests.exporter.families.shap_e.layouts import openai_files, openai_image_files
from tests.exporter.tiny import pure_module
from tests.exporter.tiny_image import image_recipe, write_pictures, write_tiny_shap_e_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_shap_e_image(tmp_path_factory.mktemp("shap_e_image_tiny"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def tiny(folder):
    return load_model("shap-e-image", str(folder))


@pytest.fixture(scope="module")
def pipeline(tiny):
    return ShapEImg2ImgPipeline(
        prior=tiny.prior(),
        image_encoder=tiny.image_encoder(),
        image_processor=tiny.processor(),
        scheduler=tiny.scheduler("denoiser"),
        shap_e_renderer=tiny.renderer(),
    )


def recipe(photos, **changes):
    return image_recipe([str(path) for path in photos], **changes)


def source_of(model, photos):
    return model.inputs(recipe(photos))["picture"]


def read(original, photos):
    return original.read([{"picture": path} for path in photos])


def test_pictures_are_read_to_the_bits_of_the_pipelines_processor(tiny, photos, pipeline):
    source = source_of(tiny, photos)
    found = PictureReader(source).encode(photos)
    expected = pipeline.image_processor([Image.open(path) for path in photos], return_tensors="np")["pixel_values"]
    assert source.background == (255, 255, 255)
    assert np.array_equal(found, expected)
    assert np.array_equal(read(tiny.original(recipe(photos)), photos)["pixels"], expected)


def test_image_encoder_equals_the_pipeline(tiny, photos, pipeline):
    original = tiny.original(recipe(photos))
    pixels = read(original, photos)
    pure = pure_module(tiny, "image_encoder", recipe(photos))
    with torch.inference_mode():
        actual = pure.module(torch.from_numpy(pixels["pixels"])).numpy()
        expected = pipeline._encode_image(torch.from_numpy(pixels["pixels"]), "cpu", 1, False).numpy()
    assert actual.shape == (3, 16, 32) and pure.outputs[0].shape == ("batch", 16, 32)
    assert compare(expected, actual).relative_l2 < 1e-6
    assert np.array_equal(expected, original.run_program("image_encoder", pixels)["grid"])


def test_denoiser_equals_the_prior(tiny, photos):
    rng = np.random.default_rng(0)
    sample = torch.from_numpy(rng.standard_normal((2, 64, 20)).astype(np.float32))
    grid = torch.from_numpy(rng.standard_normal((2, 16, 32)).astype(np.float32))
    denoiser = tiny.modules(recipe(photos))["denoiser"]()
    timestep = torch.tensor(417.25)
    time = denoiser.time_table(timestep[None]).expand(2, -1)
    with torch.inference_mode():
        expected = tiny.original(recipe(photos)).predict("denoiser", sample, timestep, grid)
        actual = denoiser.head(denoiser(sample, time, grid))
    assert compare(expected.numpy(), actual.numpy()).relative_l2 < 1e-6


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_the_original_samples_as_the_pipeline_does(tiny, photos, pipeline, guidance_scale):
    noise = np.random.default_rng(3).standard_normal((2, 64, 20)).astype(np.float32)
    original = tiny.original(recipe(photos, steps=8, guidance_scale=guidance_scale))
    pixels = read(original, photos[:2])
    actual = original.sample("denoiser", original.run_program("image_encoder", pixels), noise)
    # Latents that are given are not scaled by this pipeline, those that it draws are; the text pipeline scales both.
    pipeline.scheduler.set_timesteps(8)
    scaled = torch.from_numpy(noise) * pipeline.scheduler.init_noise_sigma
    expected = pipeline(
        torch.from_numpy(pixels["pixels"]),
        num_inference_steps=8,
        guidance_scale=guidance_scale,
        latents=scaled.reshape(2, -1),
        output_type="latent",
    ).images.numpy()
    assert compare(expected, actual).relative_l2 < 1e-5


def test_a_transparent_picture_stands_on_the_models_background(tiny, photos):
    clear = Image.new("RGBA", (30, 30), (200, 10, 10, 0))
    white = Image.new("RGB", (30, 30), (255, 255, 255))
    original, reader = tiny.original(recipe(photos)), PictureReader(source_of(tiny, photos))
    assert np.array_equal(reader.encode([clear]), reader.encode([white]))
    assert np.array_equal(read(original, [clear])["pixels"], reader.encode([white]))


def test_the_recipes_background_comes_before_the_models(tiny, photos):
    dark = recipe(photos)
    dark = dark.model_copy(update={"render": dark.render.model_copy(update={"background": [0, 10, 20]})})
    clear, plain = Image.new("RGBA", (30, 30), (9, 9, 9, 0)), Image.new("RGB", (30, 30), (0, 10, 20))
    reader = PictureReader(tiny.inputs(dark)["picture"])
    assert np.array_equal(reader.encode([clear]), reader.encode([plain]))
    assert np.array_equal(tiny.original(dark).read([{"picture": clear}])["pixels"], reader.encode([plain]))


@pytest.mark.parametrize("decoder", ["transmitter.pt", "vector_decoder.pt"])
def test_openais_own_files_are_the_same_model(folder, tiny, photos, tmp_path, decoder):
    files = openai_image_files(folder, tmp_path / "openai", decoder)
    model = load_model("shap-e-image", str(files))
    same_but_the_background = recipe(photos)
    own, hubs = model.pipeline(same_but_the_background), tiny.pipeline(same_but_the_background)
    assert own.stages == hubs.stages and own.inputs["picture"].background == (0, 0, 0)
    for made in ("prior", "image_encoder", "renderer"):
        mine, theirs = (getattr(one, made)().state_dict() for one in (model, tiny))
        differ = {name for name in theirs if not torch.equal(mine[name], theirs[name])}
        assert differ <= {"void.background", "clip_mean", "clip_std"}, made
    assert model.weights_notes == (f"image_cond.pt, {decoder}: not the published files, by sha256",)


def test_openais_text_model_is_told_from_the_image_model(tiny_folder, folder, tmp_path):
    with pytest.raises(WeightsError, match="the model that takes texts; give it to family shap-e"):
        load_model("shap-e-image", str(openai_files(tiny_folder, tmp_path / "text")))
    files = openai_image_files(folder, tmp_path / "image")
    shutil.copyfile(tmp_path / "text/text_cond.pt", files / "image_cond.pt")
    with pytest.raises(WeightsError, match="takes no picture's tokens: this is the text model"):
        load_model("shap-e-image", str(files))


def test_half_precision_under_the_hubs_name_is_told(folder, tiny, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "half")
    for file in list(copy.rglob("*.safetensors")):
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    model = load_model("shap-e-image", str(copy))
    assert any("image_encoder: loaded from its variant fp16" in note for note in model.weights_notes)
    assert all(torch.equal(a, b) for a, b in zip(model.prior().parameters(), tiny.prior().parameters(), strict=True))


def test_what_it_is_made_of_is_known_without_its_weights(tiny, photos):
    made = tiny.pipeline(recipe(photos))
    made.require_sound()
    assert stage_names("shap-e-image") == tuple(made.stages)
    assert set(known_parts("shap-e-image")) == parts_of(made)


def test_the_published_size():
    """24 blocks without the last norm, 256 tokens of 1024 numbers, 8 heads in the prior (openai/shap-e, image300M)."""
    model = load_model("shap-e-image", "random:shap-e-image-300m").unfilled()
    pixels, grid = model.encoders()["image_encoder"].inputs[0], model.encoders()["image_encoder"].outputs[0]
    assert pixels.shape == ("batch", 3, 224, 224) and grid.shape == ("batch", 256, 1024)
    encoder = model.modules(None)["image_encoder"]()
    assert len(encoder.encoder.layers) == 24
    # diffusers' prior also has two rows that the original lacks, the mean and spread of an embedding.
    assert sum(p.numel() for p in model.prior().parameters()) - 2 * 2048 == 315_956_224
    assert model.prior().transformer_blocks[0].attn1.heads == SHAP_E_IMAGE_300M["prior"]["num_attention_heads"] == 8


@pytest.mark.parametrize("name", ["stress:random:shap-e-image-1m:32", "shaped:random:shap-e-image-1m:ring"])
def test_changed_weights_have_names_and_digests_of_their_own(name):
    plain, changed = load_model("shap-e-image", "random:shap-e-image-1m"), load_model("shap-e-image", name)
    assert changed.weights_source == name and changed.weights_digest != plain.weights_digest
    assert plain.weights_source == "random:shap-e-image-1m"


def test_the_wrong_family_is_told_the_right_one(folder, tiny_folder, tmp_path):
    with pytest.raises(WeightsError, match="the model that takes texts; give it to family shap-e"):
        load_model("shap-e-image", str(tiny_folder))
    both = shutil.copytree(tiny_folder, tmp_path / "both")
    shutil.copytree(folder / "prior", both / "prior", dirs_exist_ok=True)
    with pytest.raises(WeightsError, match="conditioned on pictures; write `family: shap-e-image`"):
        load_model("shap-e", str(both))


def changed_copy(folder, tmp_path, part, file, **changes):
    copy = shutil.copytree(folder, tmp_path / "changed")
    path = copy / part / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return str(copy)


@pytest.mark.parametrize(
    ("part", "changes", "told"),
    [
        ("image_encoder", {"hidden_size": 48}, "tokens of 48 numbers, prior/config.json wants 32"),
        ("image_encoder", {"image_size": 32}, "makes pictures of 16 pixels, image_encoder/config.json wants 32"),
        ("image_processor", {"do_normalize": False}, "do_normalize False; a bundle's pictures always"),
        ("image_processor", {"resample": 4}, r"resample 4; known are 0 \(nearest\)"),
        ("image_processor", {"rescale_factor": 1.0}, "1/255 is expected"),
        ("image_processor", {"crop_size": {"height": 16, "width": 12}}, "12 by 16 pixels; square ones"),
        ("image_processor", {"size": {"shortest_edge": 12}}, "shorter_edge 12 is less than the size 16"),
        ("image_processor", {"size": {"longest_edge": 12}, "do_center_crop": False}, "or resizes to height and width"),
        ("prior", {"added_emb_type": "prd"}, "another model's prior"),
    ],
)
def test_what_no_bundle_does_is_refused(folder, tmp_path, part, changes, told):
    file = "preprocessor_config.json" if part == "image_processor" else "config.json"
    with pytest.raises(WeightsError, match=told):
        load_model("shap-e-image", changed_copy(folder, tmp_path, part, file, **changes))


def test_older_preprocessing_has_one_number_for_a_size(folder, tiny, photos, tmp_path):
    older = changed_copy(folder, tmp_path, "image_processor", "preprocessor_config.json", size=20, crop_size=16)
    model = load_model("shap-e-image", older)
    assert source_of(model, photos) == source_of(tiny, photos)
    expected = PictureReader(source_of(tiny, photos)).encode(photos)
    assert np.array_equal(read(model.original(recipe(photos)), photos)["pixels"], expected)


def test_the_loaded_tensors_are_the_files(folder, tiny):
    from safetensors.torch import load_file

    stored = load_file(folder / "image_encoder" / "model.safetensors")
    loaded = tiny.image_encoder().state_dict()
    assert len(stored) == len(loaded)
    assert all(torch.equal(stored[f"vision_model.{name}"], value) for name, value in loaded.items())
