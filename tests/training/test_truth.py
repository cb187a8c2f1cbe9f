"""The training distribution behind the protocol that models are scored by."""

import numpy as np
import pytest
import torch

from exporter.families.shap_e.model import load
from exporter.runtime.run import make, requests_of
from exporter.runtime.surface.decoded import mesh_of
from training.config import Config
from training.latents import Encoder
from training.objects import Scene
from training.originals import original
from training.scoring.truth import DecodedTruth, GroundTruth
from validate.judge.prompts import shipped_prompts

SEEDS = [3, 4]


@pytest.fixture(scope="module")
def prompts():
    return list(shipped_prompts().full[:4])


def run_of(programs, prompts):
    return make(programs, requests_of(programs.pipeline, [prompts[2].text, prompts[0].text]), SEEDS)


def test_the_objects_fit_their_prompts_and_their_surface_is_the_exact_one(prompts):
    truth = GroundTruth(prompts)
    truth.pipeline.require_sound()
    for one, prompt in zip(run_of(truth, prompts).objects(), (prompts[2], prompts[0]), strict=True):
        mesh = mesh_of(one, 48)
        made = truth.objects[-1]
        assert dict(prompt.attributes)["shape"] == made.attributes.shape
        distance, _ = Scene.of([made]).distances(torch.from_numpy(mesh.vertices[None]))
        assert len(mesh.vertices) > 100 and float(distance.abs().median()) < 0.01


def test_a_seed_gives_the_same_object_again_and_another_seed_another(prompts):
    request = requests_of(GroundTruth.pipeline, [prompts[0].text] * 3)
    truth = GroundTruth(prompts)
    run = make(truth, request, [7, 7, 8])
    assert run["object"].shape == (3, 1, 1)
    first, same, other = (made.parameters() for made in truth.objects)
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_the_decoders_ceiling_is_of_the_same_objects(prompts):
    encoder = Encoder(Config().latents).eval()
    decoder = original(load("shap-e-mini"), "heun", 1, 3.0)
    decoded, truth = DecodedTruth(prompts, encoder, decoder), GroundTruth(prompts)
    decoded.pipeline.require_sound()
    run, exact = run_of(decoded, prompts), run_of(truth, prompts)
    exact["object"]
    with torch.inference_mode():
        wanted = encoder(torch.tensor(np.stack([made.parameters() for made in truth.objects]))).numpy()
    assert np.array_equal(run["latents"], wanted)
    points = np.zeros((5, 3), np.float32)
    first = next(run.objects())
    assert first.at("field", points, "signed_distance")["signed_distance"].shape == (5, 1)
