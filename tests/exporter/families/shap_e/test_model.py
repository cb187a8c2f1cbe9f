from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import ShapEPipeline
from diffusers.pipelines.shap_e.camera import create_pan_cameras
from scipy.spatial import cKDTree
from transformers import CLIPTokenizer

from exporter.errors import HubUnreachable, RecipeError, WeightsError
from exporter.families.registry import load_model, stage_names
from exporter.families.shap_e.model import ShapE
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import mesh_of
from exporter.workshop.parity import compare
from tests.exporter.tiny import pure_module, tiny_recipe

PROMPTS = ["a red chair", "a tall blue mug", "a table"]


@pytest.fixture(scope="module")
def original(tiny):
    return tiny.original(tiny_recipe())


@pytest.fixture(scope="module")
def pipeline(tiny_folder):
    return ShapEPipeline(
        **{
            "prior": (model := load_model("shap-e", str(tiny_folder))).prior(),
            "text_encoder": model.text_encoder(),
            "tokenizer": model.tokenizer(),
            "scheduler": model.scheduler("denoiser"),
            "shap_e_renderer": model.renderer(),
        }
    )


@pytest.fixture(scope="module")
def latents():
    return np.tanh(np.random.default_rng(1).standard_normal((2, 64, 20))).astype(np.float32)


def read(original, prompts):
    return original.read([{"prompt": prompt} for prompt in prompts])


def run(tiny, stage, arrays):
    """What is exported of a stage, on its inputs by name."""
    pure = pure_module(tiny, stage)
    with torch.inference_mode():
        out = pure.module(*(torch.from_numpy(arrays[spec.name]) for spec in pure.inputs))
    outputs = out if isinstance(out, tuple) else (out,)
    return {spec.name: tensor.numpy() for spec, tensor in zip(pure.outputs, outputs, strict=True)}


def test_text_encoder_equals_the_pipeline(tiny, original, pipeline):
    tokens = read(original, PROMPTS)
    embedding = run(tiny, "text_encoder", tokens)["embedding"]
    with torch.no_grad():
        expected = pipeline._encode_prompt(PROMPTS, "cpu", 1, False).numpy()
    assert compare(expected, embedding).relative_l2 < 1e-6
    assert np.array_equal(expected, original.run_program("text_encoder", tokens)["embedding"])


def test_denoiser_equals_the_prior(tiny, original):
    rng = np.random.default_rng(0)
    sample = torch.from_numpy(rng.standard_normal((3, 64, 20)).astype(np.float32))
    embedding = torch.from_numpy(rng.standard_normal((3, 24)).astype(np.float32))
    denoiser = tiny.modules(tiny_recipe())["denoiser"]()
    timestep = torch.tensor(417.25)
    time = denoiser.time_table(timestep[None]).expand(3, -1)
    with torch.inference_mode():
        expected = original.predict("denoiser", sample, timestep, embedding)
        actual = denoiser.head(denoiser(sample, time, embedding))
    assert compare(expected.numpy(), actual.numpy()).relative_l2 < 1e-6


def test_projector_equals_the_einsum(tiny, original, latents):
    actual = run(tiny, "projector", {"latents": latents})
    expected = original.run_program("projector", {"latents": latents})
    assert actual.keys() == expected.keys()
    assert all(compare(expected[name], actual[name]).relative_l2 < 1e-6 for name in expected)


def test_field_equals_the_network(tiny, original, latents):
    arrays = Run(original, {"latents": latents}).taken_by("field")
    arrays["points"] = np.random.default_rng(2).uniform(-1, 1, (2, 300, 3)).astype(np.float32)
    actual, expected = run(tiny, "field", arrays), original.run_program("field", arrays)
    assert actual.keys() == expected.keys()
    assert all(compare(expected[name], actual[name]).relative_l2 < 1e-5 for name in expected)


def test_renderer_equals_render_rays(tiny, original, latents):
    arrays = Run(original, {"latents": latents}).taken_by("renderer")
    arrays["rays"] = create_pan_cameras(8).camera_rays[0, 64:192].numpy().reshape(2, 64, 2, 3)
    actual = run(tiny, "renderer", arrays)["color"]
    expected = original.run_program("renderer", arrays)["color"]
    assert expected.std() > 0.01
    assert compare(expected, actual).relative_l2 < 1e-5


def test_a_background_is_what_is_behind_an_object(tiny, latents):
    recipe = tiny_recipe()
    black = recipe.model_copy(update={"render": recipe.render.model_copy(update={"background": [0, 51, 0]})})
    past = np.array([[[[0, 0, 4], [1, 0, 0]]]] * 2, np.float32)
    colors = []
    for wanted in (recipe, black):
        arrays = Run(tiny.original(wanted), {"latents": latents}).taken_by("renderer") | {"rays": past}
        pure = pure_module(tiny, "renderer", wanted)
        with torch.inference_mode():
            found = pure.module(*(torch.from_numpy(arrays[spec.name]) for spec in pure.inputs))
        assert found.numpy() == pytest.approx(tiny.original(wanted).run_program("renderer", arrays)["color"])
        colors.append(found[0, 0].tolist())
    assert colors == [[1, 1, 1], pytest.approx([0, 0.2, 0])]


def test_by_openais_conventions_a_mesh_is_diffusers_own(tiny, latents):
    """Vertex by vertex; the order and the cut of a face that is ambiguous differ."""
    recipe = tiny_recipe()
    recipe = recipe.model_copy(update={"mesh": recipe.mesh.model_copy(update={"conventions": "openai"})})
    original, compared = tiny.original(recipe), 0
    for one in latents:
        run = Run(original, {"latents": one[None]})
        theirs, ours = original.mesh(run, 16), mesh_of(run, 16, exact=True)
        assert len(theirs.vertices) == len(ours.vertices)
        if not ours.is_empty:
            distance, nearest = cKDTree(theirs.vertices).query(ours.vertices)
            assert distance.max() < 1e-5
            assert ours.colors == pytest.approx(theirs.colors[nearest], abs=1e-4)
            compared += 1
    assert compared


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_the_original_samples_as_the_pipeline_does(tiny, pipeline, guidance_scale):
    noise = np.random.default_rng(3).standard_normal((2, 64, 20)).astype(np.float32)
    original = tiny.original(tiny_recipe(steps=8, guidance_scale=guidance_scale))
    encoded = original.run_program("text_encoder", read(original, PROMPTS[:2]))
    actual = original.sample("denoiser", encoded, noise)
    expected = pipeline(
        PROMPTS[:2],
        num_inference_steps=8,
        guidance_scale=guidance_scale,
        latents=torch.from_numpy(noise).reshape(2, -1),
        output_type="latent",
    ).images.numpy()
    assert compare(expected, actual).relative_l2 < 1e-5


def test_tokens_of_a_long_prompt_are_cut_with_their_end(original):
    ids = read(original, ["a red chair " * 30])["input_ids"]
    assert ids.shape == (1, 12)
    assert ids[0, -1] == original.parts.tokenizer().eos_token_id


def test_truncated_weights_are_named(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "cut")
    file = folder / "prior" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(WeightsError, match=r"prior.*truncated"):
        load_model("shap-e", str(folder)).prior()


def test_weights_of_another_architecture_name_the_first_tensors(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "other")
    config = json.loads((folder / "prior" / "config.json").read_text())
    (folder / "prior" / "config.json").write_text(json.dumps(config | {"num_layers": 3, "time_embed_dim": 64}))
    with pytest.raises(WeightsError, match=r"time_embedding.linear_1.bias is \[48\], the configuration wants \[64\]"):
        load_model("shap-e", str(folder)).prior()


def test_a_tokenizer_without_its_files_is_refused_by_their_names(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "bare")
    for path in (folder / "tokenizer").iterdir():
        if path.name != "tokenizer_config.json":
            path.unlink()
    with pytest.raises(
        WeightsError,
        match=r"tokenizer: tokenizer.json, or vocab.json with merges.txt: missing \(it has tokenizer_config",
    ):
        load_model("shap-e", str(folder))
    shutil.rmtree(folder / "scheduler")
    shutil.rmtree(folder / "tokenizer")
    with pytest.raises(WeightsError, match=r"tokenizer.json.*there is nothing"):
        load_model("shap-e", str(folder))


def test_vocab_and_merges_are_a_tokenizer_too(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "slow")
    model = json.loads((folder / "tokenizer/tokenizer.json").read_text())["model"]
    (folder / "tokenizer/tokenizer.json").unlink()
    (folder / "tokenizer/vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (folder / "tokenizer/merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    plain, found = (load_model("shap-e", str(place)).tokenizer() for place in (tiny_folder, folder))
    assert found("a tall red chair").input_ids == plain("a tall red chair").input_ids


def test_a_vocabulary_that_tells_no_words_apart_is_refused(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "invented")
    shutil.rmtree(folder / "tokenizer")
    CLIPTokenizer(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1}, merges=[]).save_pretrained(folder / "tokenizer")
    with pytest.raises(WeightsError, match=r"tokenizer: 'green' and 'chair' get the same ids"):
        load_model("shap-e", str(folder))


def test_ids_that_the_text_encoder_does_not_know_are_refused(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "other")
    path = folder / "text_encoder/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 50}))
    with pytest.raises(WeightsError, match=r"the text encoder knows 50 .*different models"):
        load_model("shap-e", str(folder))


def test_missing_weights_say_the_ways_on(tmp_path):
    with pytest.raises(WeightsError, match=r"no such folder.*shap-e-mini"):
        load_model("shap-e", str(tmp_path / "nothing"))


def test_an_unreachable_hub_says_the_ways_on(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachable, match=r"cannot be reached.*local folder.*shap-e-mini.*random"):
        load_model("shap-e", "openai/shap-e-not-cached")


@pytest.mark.parametrize("weights", ["random:shap-e-3m", "random:shap-e-300m:x", "random:shap-e-300m:1:2"])
def test_wrong_random_weights_are_refused(weights):
    with pytest.raises(WeightsError, match=r"shap-e"):
        load_model("shap-e", weights)


def test_what_its_stages_are_called_is_known_without_its_weights(tiny):
    assert stage_names("shap-e") == tuple(tiny.pipeline(tiny_recipe()).stages)


def test_an_unknown_family_names_the_nearest():
    with pytest.raises(RecipeError, match=r"did you mean 'shap-e'"):
        load_model("shape", "x")


def test_random_weights_are_reproducible(tiny):
    from exporter.families.weights import fill_random

    first, second = tiny.prior(), tiny.prior()
    fill_random(first, 5)
    fill_random(second, 5)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert isinstance(tiny, ShapE)
