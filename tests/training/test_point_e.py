"""Point-E's small models: what they learn from, what their losses want, and how they are packaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from exporter.families.point_e.diffusion_schedules import cosine_betas, linear_betas
from exporter.families.point_e.network_file import NetworkFile, read_network_file
from exporter.families.point_e.networks import DiffusionSize, DistanceSize, PointDiffusion, SignedDistance
from training.captions import split
from training.cloud_distance import distance_loss, train_distance
from training.clouds import surface_points
from training.config import Config, DiffusionConfig, Schedule
from training.loop import Draw
from training.objects import Scene, draw
from training.package_point_e import published
from training.point_diffusion import (
    coarser,
    draw_timesteps,
    kept,
    make_network,
    noise_levels,
    noise_loss,
    start_from,
    train_base,
)

OWN = DiffusionConfig(64, 1, Schedule(steps=10, batch=2, rate=1e-3, seed=1))
AVERAGED = replace(OWN, schedule=replace(OWN.schedule, ema=0.9))
MEASURED = replace(Config().point_e.distance, width=64, encoder_layers=1, decoder_layers=1)


def objects(count: int) -> Scene:
    rng, trained = np.random.default_rng(0), split()[0]
    return Scene.of([draw(rng, trained[rng.integers(len(trained))]) for _ in range(count)])


def test_clouds_lie_on_the_surfaces_all_around_in_the_objects_own_colours():
    scene = objects(6)
    points = surface_points(scene, 256, torch.Generator().manual_seed(0))
    places, colors = points.split(3, dim=-1)
    off = scene.distances(places)[0].abs()
    assert off.quantile(0.95) < 0.01 and off.max() < 0.1  # inner edges have two nearest sides
    spread = places.amax(1) - places.amin(1)
    assert (spread > 0.2).all()
    shown = (colors + 1) / 2
    apart = (shown[:, :, None] - scene.tones[:, None]).norm(dim=-1).amin(-1)
    assert apart.max() < 1e-6


def test_the_loss_is_none_where_the_noise_is_found_and_counts_high_levels_more():
    draw_again, sigmas = Draw(1, 1), noise_levels(cosine_betas())
    clean = torch.zeros(2, 8, 6)

    def knows(noisy, timestep):
        """Clean points are zeros, so that the noise can be told."""
        sigma = sigmas[timestep][:, None, None]
        return noisy * (sigma.square() + 1).sqrt() / sigma

    assert noise_loss(knows, clean, sigmas, OWN, Draw(1, 1)) < 1e-8
    nothing = noise_loss(lambda noisy, timestep: torch.zeros_like(noisy), clean, sigmas, OWN, draw_again)
    assert 1 < nothing < 2 * (1 + OWN.highest**2)


def test_every_schedule_is_learnt_at_noise_levels_that_are_even_in_their_logarithm():
    for betas in (cosine_betas(), linear_betas()):
        sigmas = noise_levels(betas)
        assert (sigmas.diff() > 0).all()
        levels = sigmas[draw_timesteps(64, sigmas, Draw(2, 2))]
        assert levels.min() < 0.03 and 40 < levels.max() < 60
        assert ((levels > 1).sum() - 64 * np.log(50) / np.log(2500)).abs() < 3


def test_a_condition_that_is_not_wanted_is_zeros_as_where_there_is_none():
    grid = kept(torch.ones(3, 4, 2), torch.tensor([True, False, True]))
    assert grid.flatten(1).sum(1).tolist() == [8, 0, 8]


@pytest.mark.parametrize(
    ("name", "train"),
    [
        (
            "point_e_text",
            lambda network, folder: train_base("point_e_text", network, Config().point_e, AVERAGED, None, None, folder),
        ),
        (
            "point_e_distance",
            lambda network, folder: train_distance(replace(Config().point_e, distance=MEASURED), None, folder),
        ),
    ],
)
def test_what_was_trained_before_is_read_again(tmp_path, name, train):
    """The network that `fit` was given stays as it was: its moving average is what is kept."""
    network = make_network(OWN, "vector", 16) if name == "point_e_text" else SignedDistance(DistanceSize(64, 1, 1))
    saved = {key: torch.full_like(tensor, 0.25) for key, tensor in network.state_dict().items()}
    torch.save(saved, tmp_path / f"{name}.pt")
    found = train(network, tmp_path).state_dict()
    assert found.keys() == saved.keys() and all(torch.equal(found[key], saved[key]) for key in saved)


def test_all_points_are_learnt_from_at_the_end():
    config, schedule = Config().point_e, Schedule(steps=100, batch=1, rate=1.0, seed=0)
    assert [coarser(step, schedule, config) for step in (0, 89, 90, 99)] == [2, 2, 1, 1]


def test_distances_must_be_right_near_the_surface_and_beyond_only_as_far():
    wanted = torch.tensor([0.0, 0.01, 0.4, -0.4])
    assert distance_loss(wanted, wanted, 0.15) == 0
    assert distance_loss(torch.tensor([0.0, 0.01, 0.3, -0.9]), wanted, 0.15) == 0
    assert distance_loss(torch.tensor([0.0, 0.01, -0.3, -0.4]), wanted, 0.15) > 0
    wrong = torch.tensor([5.0], requires_grad=True)
    distance_loss(wrong, torch.tensor([0.0]), 0.15).backward()
    assert wrong.grad.abs() > 1


@pytest.mark.parametrize(
    "network",
    [
        PointDiffusion(DiffusionSize(128, 1, "vector", 8)),
        PointDiffusion(DiffusionSize(64, 1, "grid", 16, upsamples=True)),
        SignedDistance(DistanceSize(128, 1, 1)),
    ],
    ids=["base", "upsampler", "distance"],
)
def test_a_packaged_network_is_read_as_a_published_one(network, tmp_path):
    save_file(published(network), tmp_path / "network.safetensors")
    found = read_network_file(tmp_path / "network.safetensors")
    assert isinstance(found, NetworkFile) and found.size == network.size
    for name, tensor in found.network().state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name], rtol=1e-3, atol=1e-3)


def test_a_network_starts_by_predicting_nothing_or_from_layers_of_another():
    source = PointDiffusion(DiffusionSize(64, 3, "vector", 8))
    upsampler = make_network(OWN, "grid", 16, upsamples=True)
    assert upsampler.output_proj.weight.abs().max() == 0
    before = {name: tensor.clone() for name, tensor in upsampler.state_dict().items()}
    start_from(upsampler, source, (2,))
    own, theirs = upsampler.state_dict(), source.state_dict()
    for name in ("attn.c_qkv.weight", "mlp.c_fc.bias"):
        assert torch.equal(own[f"backbone.resblocks.0.{name}"], theirs[f"backbone.resblocks.2.{name}"])
    assert torch.equal(own["output_proj.weight"], theirs["output_proj.weight"])
    assert torch.equal(own["clip_embed.1.weight"], before["clip_embed.1.weight"])
