"""The shipped model and its judge: safe files, the hub's layout, and good enough to be an instrument."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ShapEPipeline

import exporter
from exporter.families.registry import load_model
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.run import make, requests_of
from exporter.runtime.surface.decoded import mesh_of
from training.package import SIZE_LIMIT
from training.scoring.truth import GroundTruth
from validate.judge.clip import Evaluator
from validate.judge.prompts import shipped_prompts
from validate.objects.judged import CaptionSet, score
from validate.objects.objects import make_objects

ZOO = Path(exporter.__path__[0]) / "zoo"


@pytest.fixture(scope="module")
def judge():
    return Evaluator.load(ZOO / "shap_e_mini_evaluator")


@pytest.fixture(scope="module")
def captions(judge):
    return CaptionSet.embed(shipped_prompts().full[:160], judge)


def test_generator_and_judge_are_small_and_hold_no_code():
    files = [path for path in ZOO.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) <= SIZE_LIMIT
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".md", ".png", ".yaml"}


def test_prompts_of_every_kind():
    prompts = shipped_prompts()
    assert len(prompts.full) >= 800
    assert len(prompts.under_specified) >= 100
    held_out = {prompt.text for prompt in prompts.held_out}
    assert len(held_out) == 160 and held_out.isdisjoint(prompt.text for prompt in prompts.full)


def test_diffusers_loads_it_and_makes_a_mesh():
    pipeline = ShapEPipeline.from_pretrained(ZOO / "shap_e_mini", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    latents = pipeline(
        "a red ball", num_inference_steps=16, guidance_scale=3.0, generator=generator, output_type="latent"
    )
    mesh = pipeline.shap_e_renderer.decode_to_mesh(latents.images[:1], "cpu", grid_size=24)
    assert len(mesh.faces) > 100
    red, green, blue = (mesh.vertex_channels[c].mean() for c in "RGB")
    assert red > 3 * green and red > 3 * blue


def test_the_judge_finds_real_objects(judge, captions):
    prompts = list(captions.prompts[:12])
    _, found = score(GroundTruth(prompts), prompts, captions, judge)
    assert found.hits.sum() >= 9


def test_the_model_makes_what_is_asked(judge, captions):
    """A smoke test on twelve steps; the model card has the figures."""
    prompts = list(captions.prompts[:12])
    recipe = load_recipe(ZOO.parents[1] / "recipes" / "shape_e_fp32.yaml", ["sampler.steps=12"])
    objects, found = score(load_model("shap-e", "shap-e-mini").original(recipe), prompts, captions, judge)
    assert not objects.empty.any()
    assert found.hits.sum() >= 6
    assert np.median(found.ranks) <= 3


def test_the_student_makes_what_is_asked_in_four_evaluations(judge, captions):
    prompts = list(captions.prompts[:12])
    recipe = load_recipe(ZOO.parents[1] / "recipes" / "shape_e_few.yaml")
    original = load_model("shap-e", recipe.model.weights).original(recipe)
    objects, found = score(original, prompts, captions, judge)
    assert len(original.samplers["denoiser"].evaluations()) == 4 and recipe.sampler.guidance_scale == 1.0
    assert not objects.empty.any()
    assert found.hits.sum() >= 9


def test_diffusers_loads_the_parts_of_the_image_model():
    """What it has of its own; renderer and scheduler are the text model's."""
    from diffusers import PriorTransformer
    from transformers import CLIPImageProcessorPil, CLIPVisionModel

    folder = ZOO / "shap_e_mini_image"
    tower = CLIPVisionModel.from_pretrained(folder / "image_encoder", local_files_only=True)
    prior = PriorTransformer.from_pretrained(folder / "prior", local_files_only=True)
    size = CLIPImageProcessorPil.from_pretrained(folder / "image_processor", local_files_only=True).crop_size
    assert size == {"height": 48, "width": 48} and tower.config.image_size == 48
    assert prior.config.embedding_proj_dim == tower.config.hidden_size
    assert sum(path.stat().st_size for path in folder.rglob("*.safetensors")) <= 6e6


def test_the_image_model_makes_objects_of_the_pictures_colours(judge):
    """A smoke test on eight steps and three pictures; the model card has the figures."""
    pictures = ZOO.parents[1] / "recipes" / "pictures"
    names, colors = ("red_chair", "green_car", "object_00"), ("red", "green", "purple")
    recipe = load_recipe(ZOO.parents[1] / "recipes" / "shape_e_image_fp32.yaml", ["sampler.steps=8"])
    original = load_model("shap-e-image", "shap-e-mini-image").original(recipe)
    made = make_objects(original, [str(pictures / f"{name}.png") for name in names], judge)
    assert not made.empty.any()
    said = judge.embed_texts([f"a {color} object" for color in colors])
    assert ((made.embeddings @ said.T).argmax(axis=1) == np.arange(3)).all()


def test_the_reconstructor_gives_an_object_its_picture_s_colour():
    """The model card has how near it comes to the shape."""
    recipe = load_recipe(ZOO.parents[1] / "recipes" / "triposr_fp32.yaml")
    original = load_model("triposr", "triposr-mini").original(recipe)
    pictures = ZOO.parents[1] / "recipes" / "pictures"
    run = make(original, requests_of(original.pipeline, ["red_chair.png", "green_car.png"], pictures), [0, 0])
    for channel, one in zip((0, 1), run.objects(), strict=True):
        mesh = mesh_of(one, 32)
        mean = mesh.colors.mean(axis=0)
        assert len(mesh.faces) > 100 and mean.argmax() == channel and mean[channel] > 2 * mean[2]
    assert sum(path.stat().st_size for path in (ZOO / "triposr_mini").iterdir()) <= 6e6
