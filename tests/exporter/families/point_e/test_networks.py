"""Point-E's networks beside plain formulas on published tensors, head by head."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from exporter.families.point_e.network_file import read_network_file, size_of
from exporter.families.point_e.networks import DiffusionSize, DistanceSize
from exporter.families.point_e.random_networks import RandomNetwork

WIDTH, HEADS = 128, 2
DIFFUSIONS = {
    "none": DiffusionSize(WIDTH, 2, "none"),
    "vector": DiffusionSize(WIDTH, 2, "vector", 24),
    "grid": DiffusionSize(WIDTH, 2, "grid", 40),
    "upsampler": DiffusionSize(WIDTH, 2, "grid", 40, upsamples=True),
    "upsampler of points alone": DiffusionSize(WIDTH, 2, "none", upsamples=True),
}
DISTANCE = DistanceSize(WIDTH, 2, 3)


@pytest.fixture
def published(tmp_path):
    """The tensors of a network of a size, and our network of the file that they were saved in."""

    def save(size):
        tensors = RandomNetwork(size, seed=3).network().state_dict()
        torch.save(tensors, tmp_path / "some.pt")
        return tensors, read_network_file(tmp_path / "some.pt").network()

    return save


def linear(tensors, name, x):
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def norm(tensors, name, x):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def mlp(tensors, name, x):
    hidden = linear(tensors, f"{name}.c_fc", x)
    return linear(tensors, f"{name}.c_proj", hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2))))


def heads(x, parts):
    """Head by head, then q, k and v of each, as the published rows go."""
    return [list(part.split(x.shape[-1] // HEADS // parts, dim=-1)) for part in x.chunk(HEADS, dim=-1)]


def mixed(q, k, v):
    scale = q.shape[-1] ** -0.25
    return torch.softmax((q * scale) @ (k * scale).transpose(-1, -2), dim=-1) @ v


def block(tensors, name, x):
    of_heads = heads(linear(tensors, f"{name}.attn.c_qkv", norm(tensors, f"{name}.ln_1", x)), 3)
    x = x + linear(tensors, f"{name}.attn.c_proj", torch.cat([mixed(*head) for head in of_heads], dim=-1))
    return x + mlp(tensors, f"{name}.mlp", norm(tensors, f"{name}.ln_2", x))


def cross_block(tensors, name, x, data):
    queries = linear(tensors, f"{name}.attn.c_q", norm(tensors, f"{name}.ln_1", x)).chunk(HEADS, dim=-1)
    of_heads = heads(linear(tensors, f"{name}.attn.c_kv", norm(tensors, f"{name}.ln_2", data)), 2)
    seen = [mixed(q, k, v) for q, (k, v) in zip(queries, of_heads, strict=True)]
    x = x + linear(tensors, f"{name}.attn.c_proj", torch.cat(seen, dim=-1))
    return x + mlp(tensors, f"{name}.mlp", norm(tensors, f"{name}.ln_3", x))


def predicted_noise(tensors, points, t, clip=None, low_res=None):
    """Of one timestep for all; tokens in the published order, which is the other one for a vector."""
    frequencies = torch.tensor([10000 ** (-j / (WIDTH // 2)) for j in range(WIDTH // 2)])
    time = torch.cat([torch.cos(t * frequencies), torch.sin(t * frequencies)])
    tokens = [mlp(tensors, "time_embed", time).expand(len(points), 1, -1)]
    if clip is not None and clip.dim() == 2:
        tokens.insert(0, linear(tensors, "clip_embed", math.sqrt(clip.shape[1]) * clip)[:, None])
    elif clip is not None:
        tokens.append(linear(tensors, "clip_embed.1", norm(tensors, "clip_embed.0", clip)))
    if low_res is not None:
        scaled = torch.cat([2 * low_res[..., :3], low_res[..., 3:] / 127.5 - 1], dim=-1)
        tokens.append(linear(tensors, "cond_point_proj", scaled))
    x = norm(tensors, "ln_pre", torch.cat([*tokens, linear(tensors, "input_proj", points)], dim=1))
    for layer in range(2):
        x = block(tensors, f"backbone.resblocks.{layer}", x)
    return linear(tensors, "output_proj", norm(tensors, "ln_post", x[:, -points.shape[1] :]))[..., :6]


@pytest.mark.parametrize("name", DIFFUSIONS)
@torch.no_grad()
def test_a_diffusion_transformer_predicts_what_its_published_tensors_say(published, name):
    size = DIFFUSIONS[name]
    tensors, network = published(size)
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(2, 11, 6, generator=draw)
    shape = {"none": None, "vector": (2, 24), "grid": (2, 9, 40)}[size.condition]
    clip = torch.randn(shape, generator=draw) if shape else None
    low_res = torch.rand(2, 5, 6, generator=draw) * torch.tensor([1, 1, 1, 255, 255, 255]) if size.upsamples else None
    given = [condition for condition in (clip, low_res) if condition is not None]
    found = network(points, torch.tensor([417, 417]), *given)
    expected = predicted_noise(tensors, points, 417.0, clip, low_res)
    assert (found - expected).norm() < 1e-5 * expected.norm()
    for i in range(len(given)):  # a condition that is not looked at would pass as well
        other = [torch.zeros_like(c) if i == j else c for j, c in enumerate(given)]
        assert (network(points, torch.tensor([417, 417]), *other) - expected).norm() > 1e-2 * expected.norm()


@torch.no_grad()
def test_a_signed_distance_is_what_its_published_tensors_say(published):
    tensors, network = published(DISTANCE)
    draw = torch.Generator().manual_seed(0)
    cloud, places = torch.rand(2, 30, 3, generator=draw) - 0.5, torch.rand(2, 17, 3, generator=draw) - 0.5
    data = linear(tensors, "encoder_input_proj", cloud)
    for layer in range(2):
        data = block(tensors, f"encoder.resblocks.{layer}", data)
    x = linear(tensors, "decoder_input_proj", places)
    for layer in range(3):
        x = cross_block(tensors, f"decoder.resblocks.{layer}", x, data)
    expected = linear(tensors, "output_proj", norm(tensors, "ln_post", x))
    assert (network(places, *network.encode(cloud)) - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("size", [*DIFFUSIONS.values(), DISTANCE], ids=[*DIFFUSIONS, "signed distance"])
def test_a_network_is_told_by_its_tensors(size):
    tensors = RandomNetwork(size, seed=0).network().state_dict()
    assert size_of({name: tuple(tensor.shape) for name, tensor in tensors.items()}) == size


@torch.no_grad()
@pytest.mark.parametrize("seed", range(4))
def test_random_signed_distances_have_a_surface(seed):
    network = RandomNetwork(DISTANCE, seed).network()
    draw = torch.Generator().manual_seed(9)
    cloud, places = torch.rand(1, 64, 3, generator=draw) - 0.5, torch.rand(1, 4096, 3, generator=draw) - 0.5
    inside = (network(places, *network.encode(cloud)) > 0).float().mean()
    assert 0.05 < inside < 0.95


def test_attention_is_the_frameworks_own(monkeypatch, published):
    """It keeps no matrix of all scores where the framework does not."""
    asked = []
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v: asked.append(q.shape) or v)
    _, network = published(DIFFUSIONS["vector"])
    network(torch.zeros(1, 3, 6), torch.zeros(1), torch.zeros(1, 24))
    assert asked == [(1, HEADS, 5, 64)] * 2
