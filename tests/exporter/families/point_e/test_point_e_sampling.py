"""Sampling as Point-E's notebooks have it, beside algorithm 2 of Karras et al. written out with formulas of its own."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from exporter.families.registry import load_model
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.run import Run, make
from exporter.workshop.parity import compare
from tests.exporter.tiny import pure_module
from tests.recipes.pairs import ROOT

T = 1024
SHIPPED = ROOT / "recipes" / "point_e_fp32.yaml"


def cumulative(stage):
    if stage == "upsampler":
        return np.cumprod([1 - T_SCALE * (1e-4 + (0.02 - 1e-4) * i / (T - 1)) for i in range(T)])
    bar = [math.cos((i / T + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(T + 1)]
    return np.cumprod([1 - min(1 - bar[i + 1] / bar[i], 0.999) for i in range(T)])


T_SCALE = 1000 / T


def timestep(kept, sigma):
    """Between which two of the trained levels it lies, and the lower number of the two."""
    wanted = 1 / (sigma**2 + 1)
    if wanted > kept[0]:
        return 0
    return T - 1 if wanted <= kept[-1] else int(np.nonzero(kept >= wanted)[0][-1])


def notebook(network, stage, conditions, draws, steps, highest, churn, guidance, seen):
    """Their loop; `draws(k)` in the order of ours. `conditions`: what the network takes, in its order."""
    kept = cumulative(stage)
    lowest = 1e-3
    ramp = np.linspace(0, 1, steps)
    sigmas = [*(highest ** (1 / 7) + ramp * (lowest ** (1 / 7) - highest ** (1 / 7))) ** 7, 0.0]

    def x0_of(x, sigma, conditions):
        t = timestep(kept, sigma)
        seen.append(t)
        eps = network((x / math.sqrt(sigma**2 + 1)).float(), torch.tensor([t] * len(x)), *conditions).double()
        x0 = math.sqrt(1 / kept[t]) * x / math.sqrt(sigma**2 + 1) - math.sqrt(1 / kept[t] - 1) * eps
        return x0.clamp(-1, 1)

    def denoised(x, sigma):
        given = x0_of(x, sigma, conditions)
        if guidance in (0, 1):
            return given
        nothing = x0_of(x, sigma, [torch.zeros_like(condition) for condition in conditions])
        seen.pop()
        return nothing + guidance * (given - nothing)

    gamma = min(churn / steps, math.sqrt(2) - 1)
    # The noise of the first step is in what ours begins with.
    x = torch.from_numpy(draws(0)).double() * sigmas[0] * (1 + gamma)
    for i, (sigma, following) in enumerate(pairwise(sigmas)):
        raised = sigma * (1 + gamma)
        if i and gamma:
            x = x + math.sqrt(raised**2 - sigma**2) * torch.from_numpy(draws(2 * i)).double()
        d = (x - denoised(x, raised)) / raised
        ahead = x + d * (following - raised)
        if following == 0:
            return ahead
        x = x + (d + (ahead - denoised(ahead, following)) / following) / 2 * (following - raised)


@pytest.fixture(scope="module")
def texts():
    return load_model("point-e", "random:point-e-tiny-text")


@pytest.fixture(scope="module")
def pictures():
    return load_model("point-e", "random:point-e-tiny")


@pytest.mark.parametrize("name", ["texts", "pictures"])
@torch.no_grad()
def test_the_shipped_recipes_sample_as_the_notebooks(request, name):
    model = request.getfixturevalue(name)
    grid = torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(4))
    vector = grid[:, 0] / grid[:, 0].norm(dim=-1, keepdim=True)
    condition = {"texts": {"clip_vector": vector}, "pictures": {"clip_grid": grid}}[name]
    path = SHIPPED if name == "texts" else ROOT / "recipes" / "point_e_image_fp32.yaml"
    recipe = load_recipe(path)
    run = Run(model.original(recipe), {key: tensor.numpy() for key, tensor in condition.items()}, [3, 4])
    (given,) = condition.values()
    told = {"base": ([given], 120.0, 3.0, 3.0)}
    low_res = torch.from_numpy(run["low_res"])
    picture = grid if name == "pictures" else torch.zeros_like(grid)
    told["upsampler"] = ([picture, low_res], 160.0, 0.0, 3.0 if name == "pictures" else 0.0)
    for stage, (conditions, highest, churn, guidance) in told.items():
        network, seen = getattr(model, stage).network(), []
        expected = notebook(network, stage, conditions, run.draws(stage), 64, highest, churn, guidance, seen)
        rows = run.programs.samplers[stage].evaluations()
        assert [int(row.model_timestep) for row in rows] == seen and len(seen) == 127
        assert seen[0] == (1023 if stage == "upsampler" else seen[0]) and seen[-1] == 0
        found = run["base_latents" if stage == "base" else "upsampler_latents"]
        assert compare(expected.numpy(), found).relative_l2 < 1e-4


@torch.no_grad()
def test_raw_units_are_those_of_the_published_clouds(texts):
    run = Run(texts.original(load_recipe(SHIPPED)), {}, [0])
    latents = np.linspace(-1, 1, 48 * 6, dtype=np.float32).reshape(1, 48, 6)
    finer = np.full((1, 144, 6), 1.5, np.float32)
    run.tensors |= {"base_latents": latents, "upsampler_latents": finer}
    np.testing.assert_allclose(run["low_res"][..., :3], latents[..., :3] / 2, atol=1e-6)
    np.testing.assert_allclose(run["low_res"][..., 3:], (latents[..., 3:] + 1) * 127.5, rtol=1e-5, atol=1e-4)
    assert run["positions"].shape == run["colors"].shape == (1, 192, 3)
    assert np.array_equal(run["positions"][:, :48], run["low_res"][..., :3])
    assert (run["positions"][:, 48:] == 0.75).all() and (run["colors"][:, 48:] == 1.0).all()
    whole = run["colors"] * 255
    np.testing.assert_allclose(whole, whole.round(), atol=1e-4)


@pytest.mark.parametrize("name", ["texts", "pictures"])
@torch.inference_mode()
def test_what_is_exported_of_a_sampler_predicts_what_the_network_does(request, name):
    model = request.getfixturevalue(name)
    recipe = load_recipe(SHIPPED)
    original, draw = model.original(recipe), torch.Generator().manual_seed(0)
    for stage in ("base", "upsampler"):
        denoiser = model.modules(recipe)[stage]()
        specs = model.pipeline(recipe).stages[stage].takes
        conditions = [torch.randn(2, *spec.shape[1:], generator=draw) for spec in specs]
        points = torch.randn(2, model.points[stage == "upsampler"], 6, generator=draw)
        time = denoiser.time_table(torch.tensor([417.0])).expand(2, -1)
        expected = original.predict(stage, points, torch.tensor(417.0), *conditions)
        found = denoiser.head(denoiser(points, time, *conditions))
        assert compare(expected.numpy(), found.numpy()).relative_l2 < 1e-6


@torch.inference_mode()
def test_the_field_has_the_colour_of_the_nearest_point(texts):
    field = pure_module(texts, "field")
    draw = torch.Generator().manual_seed(0)
    sizes = [(1, 7 if spec.name == "points" else spec.shape[1], spec.shape[2]) for spec in field.inputs]
    given = [torch.rand(size, generator=draw) for size in sizes]
    points, positions, colors = given[:3]
    distance, density, color = field.module(*given)
    nearest = ((points[0, :, None] - positions[0, None]) ** 2).sum(-1).argmin(1)
    assert torch.equal(color[0], colors[0, nearest])
    assert torch.equal(density, distance.clamp(min=0))


def test_a_run_makes_points_and_a_mesh(texts):
    """The whole pipeline by the original, from words; how long a sampler goes on is shortened."""
    recipe = load_recipe(SHIPPED, ["sampler.steps=3"])
    run = make(texts.original(recipe), [{"prompt": "a red chair"}], [0])
    assert np.isfinite(run["positions"]).all() and run["colors"].min() >= 0 and run["colors"].max() <= 1
    run.programs.load()
    mesh = run.programs.mesh(run, 16)
    assert len(mesh.faces) and np.abs(mesh.vertices).max() <= 1.2
    wrapped = run.programs.with_network(lambda network: torch.nn.Identity())
    assert isinstance(wrapped.networks["base"](), torch.nn.Identity)
