"""The PyTorch original and its forms, on a tiny random Shap-E."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exporter.families.registry import load_model
from exporter.runtime.run import Run
from exporter.runtime.surface.decoded import mesh_of
from tests.exporter.tiny import tiny_recipe, write_tiny_shap_e
from validate.bench.sides import Work
from validate.bench.torch_sides import BASELINES, TorchSide
from validate.ladder.meshes import chamfer_distance

WORK = Work("a red chair", grid=12, picture=8)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return load_model("shap-e", str(write_tiny_shap_e(tmp_path_factory.mktemp("tiny")))).original(tiny_recipe())


@pytest.fixture(scope="module")
def eager(original):
    return TorchSide(original)


def test_an_object_has_every_stage(eager):
    """diffusers asks its field by itself: that is a part of the mesh."""
    made = eager.make(WORK)
    assert list(made.seconds) == ["inputs", "text_encoder", "denoiser", "projector", "mesh"]
    assert list(made.besides) == ["image"] and made.latents["latents"].shape == (1, 64, 20)


def test_a_composed_object_runs_one_evaluation_and_is_told_for_all(original):
    calls = []

    def counted(network):
        return lambda *given, **named: calls.append(1) or network(*given, **named)

    side = TorchSide(original.with_network(counted))
    latents = np.zeros((1, 64, 20), np.float32)
    assert side.evaluations("denoiser") == 7
    made = side.make(WORK, 1, {"latents": latents})
    assert np.array_equal(made.latents["latents"], latents) and len(calls) == 1
    assert made.steps["denoiser"] == pytest.approx(made.seconds["denoiser"] / 7)


def test_a_step_is_a_guided_prediction(eager):
    step = eager.step("a red chair")
    [first], [second] = step(), step()
    assert first.shape == (1, 64, 20) and torch.equal(first, second)


@pytest.mark.parametrize(("name", "tolerance"), [("naive", 1e-4), ("torch-bf16", 0.1)])
def test_another_form_predicts_the_same(original, eager, name, tolerance):
    other = TorchSide(original.with_network(BASELINES[name].wrap))
    [wanted], [found] = eager.step("a red chair")(), other.step("a red chair")()
    error = float((found - wanted).norm() / wanted.norm())
    assert found.dtype == torch.float32 and error < tolerance
    assert (error > 1e-4) == (name == "torch-bf16")


@pytest.mark.slow
def test_a_compiled_network_predicts_the_same(original, eager):
    other = TorchSide(original.with_network(BASELINES["torch-compile"].wrap))
    [wanted], [found] = eager.step("a red chair")(), other.step("a red chair")()
    assert torch.allclose(found, wanted, atol=1e-3)


def test_the_mesh_is_diffusers_own(original, eager):
    """The random field is moved so that its surface goes through the middle of the volume, and then out of it."""
    run = Run(original, eager.make(WORK).latents)
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3)).astype(np.float32)
    middle = np.median(run.at("field", points, "signed_distance")["signed_distance"])
    renderer = original.parts.renderer()
    last = renderer.mlp.mlp[-1]
    with torch.inference_mode():
        last.bias[0] -= float(np.arctanh(middle))
        own, ours = original.mesh(run, 24), mesh_of(run, 24, exact=True)
        last.bias[0] -= 50.0
        assert original.mesh(run, 12).is_empty
    # diffusers stretches the bordered lattice over the volume.
    assert len(own.vertices) > 100 and chamfer_distance(own, ours) < 0.1
    assert len(own.colors) == len(own.vertices) and 0 <= own.colors.min() <= own.colors.max() <= 1
    assert type(renderer.params_proj).__name__ == "ShapEParamsProjModel"
