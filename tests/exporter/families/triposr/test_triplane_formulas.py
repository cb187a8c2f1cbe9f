"""TripoSR's stages on a tiny random model against formulas written out here, with nothing of diffusers, transformers or
of our own modules in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import erf

from exporter.families.registry import load_model
from exporter.recipe.recipe import Recipe

RECIPE = {
    "name": "tiny",
    "model": {"family": "triposr", "weights": "random:triposr-tiny"},
    "render": {"coarse_samples": 24},
    "quantization": {"rules": []},
    "goldens": {"prompts": ["a.png"]},
    "validation": {
        "tolerances": {"fp32": {"stage_snr_db": 90.0, "mesh_iou": 0.999, "chamfer": 1e-4, "render_psnr_db": 50.0}}
    },
}
RADIUS, BIAS, LEVEL = 0.87, -1.0, 25.0
HEADS, SIDE, FEATURES = 4, 4, 8
DRAW = np.random.default_rng(0)
PIXELS = DRAW.random((2, 3, 32, 32), dtype=np.float32)


@pytest.fixture(scope="module")
def model():
    return load_model("triposr", "random:triposr-tiny:3")


@pytest.fixture(scope="module")
def weights(model):
    """All tensors of the release by their names, float64."""
    return {
        f"{part}.{name}": tensor.double().numpy()
        for part in ("image_tokenizer", "tokenizer", "backbone", "post_processor", "decoder")
        for name, tensor in model.part(part).state_dict().items()
    }


@pytest.fixture(scope="module")
def made(model):
    """The tensors of two pictures, by the exported modules."""
    import torch

    modules = model.modules(Recipe(**RECIPE))
    with torch.inference_mode():
        tokens = modules["image_encoder"]()(torch.from_numpy(PIXELS))
        planes = modules["backbone"]()(tokens)
    return {"image_tokens": tokens.numpy(), "planes": planes.numpy()}


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)


def normed(x, weights, name, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x):
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


def attention(query, key, value, heads):
    """[B, N, C] by heads that lie side by side in C."""

    def parted(x):
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    query, key, value = parted(query), parted(key), parted(value)
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1])
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return (shares @ value).transpose(0, 2, 1, 3).reshape(query.shape[0], query.shape[2], -1)


def vision_tower(pixels, weights, heads=3, patch=8):
    name = "image_tokenizer.model"
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    values = (pixels - mean[:, None, None]) / std[:, None, None]
    across = pixels.shape[-1] // patch
    kernel = weights[f"{name}.embeddings.patch_embeddings.projection.weight"]
    patches = values.reshape(len(values), 3, across, patch, across, patch).transpose(0, 2, 4, 1, 3, 5)
    tokens = patches.reshape(len(values), across**2, -1) @ kernel.reshape(len(kernel), -1).T
    tokens = tokens + weights[f"{name}.embeddings.patch_embeddings.projection.bias"]
    first = np.repeat(weights[f"{name}.embeddings.cls_token"], len(values), axis=0)
    hidden = np.concatenate([first, tokens], axis=1) + weights[f"{name}.embeddings.position_embeddings"]
    for i in range(2):
        layer = f"{name}.layers.{i}"
        inner = normed(hidden, weights, f"{layer}.layernorm_before", 1e-12)
        given = [linear(inner, weights, f"{layer}.attention.{one}_proj") for one in "qkv"]
        hidden = hidden + linear(attention(*given, heads), weights, f"{layer}.attention.o_proj")
        inner = normed(hidden, weights, f"{layer}.layernorm_after", 1e-12)
        hidden = hidden + linear(gelu(linear(inner, weights, f"{layer}.mlp.fc1")), weights, f"{layer}.mlp.fc2")
    return hidden


def triplane_transformer(tokens, weights):
    """The tower's last normalisation, and [B, T, D] to planes: nothing folded, nothing left out."""
    attended = normed(tokens, weights, "image_tokenizer.model.layernorm", 1e-12)
    learned = weights["tokenizer.embeddings"].transpose(1, 0, 2, 3)  # [C, 3, H, W]
    channels = learned.reshape(len(learned), -1)
    groups = channels.reshape(32, -1)
    scaled = (groups - groups.mean(axis=1, keepdims=True)) / np.sqrt(groups.var(axis=1, keepdims=True) + 1e-6)
    scaled = scaled.reshape(channels.shape) * weights["backbone.norm.weight"][:, None]
    hidden = linear((scaled + weights["backbone.norm.bias"][:, None]).T[None], weights, "backbone.proj_in")
    hidden = np.repeat(hidden, len(attended), axis=0)
    for i in range(2):
        block = f"backbone.transformer_blocks.{i}"
        for norm, attn, other in (("norm1", "attn1", None), ("norm2", "attn2", attended)):
            inner = normed(hidden, weights, f"{block}.{norm}", 1e-5)
            source = inner if other is None else other
            query = linear(inner, weights, f"{block}.{attn}.to_q")
            key, value = (linear(source, weights, f"{block}.{attn}.to_{one}") for one in "kv")
            hidden = hidden + linear(attention(query, key, value, HEADS), weights, f"{block}.{attn}.to_out.0")
        inner = linear(normed(hidden, weights, f"{block}.norm3", 1e-5), weights, f"{block}.ff.net.0.proj")
        half = inner.shape[-1] // 2
        hidden = hidden + linear(inner[..., :half] * gelu(inner[..., half:]), weights, f"{block}.ff.net.2")
    out = linear(hidden, weights, "backbone.proj_out").transpose(0, 2, 1) + channels
    small = out.reshape(len(attended), -1, 3, SIDE, SIDE)
    kernel, bias = weights["post_processor.upsample.weight"], weights["post_processor.upsample.bias"]
    planes = np.zeros((len(attended), 3, FEATURES, 2 * SIDE, 2 * SIDE))
    for row in range(2):
        for column in range(2):
            spread = np.einsum("bcphw,cf->bpfhw", small, kernel[:, :, row, column])
            planes[..., row::2, column::2] = spread + bias[:, None, None]
    return planes


def feature(plane, x, y):
    """Of one plane [F, H, W], what a place in [-1, 1]² sees, pixel by pixel; zeros lie beyond the edge."""
    across = plane.shape[-1]
    u, v = ((place + 1) * across / 2 - 0.5 for place in (x, y))
    total = np.zeros(len(plane))
    for row in (math.floor(v), math.floor(v) + 1):
        for column in (math.floor(u), math.floor(u) + 1):
            if 0 <= row < across and 0 <= column < across:
                total += plane[:, row, column] * (1 - abs(u - column)) * (1 - abs(v - row))
    return total


def density_and_color(points, planes, weights):
    """Points [P, 3] of one object."""
    found = []
    for x, y, z in points / RADIUS:
        hidden = np.concatenate([feature(planes[0], x, y), feature(planes[1], x, z), feature(planes[2], y, z)])
        for i in (0, 2):
            hidden = linear(hidden, weights, f"decoder.layers.{i}")
            hidden = hidden / (1 + np.exp(-hidden))
        raw = linear(hidden, weights, "decoder.layers.4")
        found.append([np.exp(raw[0] + BIAS), *(1 / (1 + np.exp(-raw[1:])))])
    return np.array(found)


def test_the_vision_tower(made, weights):
    expected = vision_tower(PIXELS.astype(np.float64), weights)
    assert made["image_tokens"].shape == (2, 17, 48)
    assert np.abs(made["image_tokens"] - expected).max() < 1e-5 * np.abs(expected).max()


def test_planes_are_those_of_the_whole_transformer(made, weights):
    """Though the exported one has the first self-attention in a constant and two layers in one."""
    expected = triplane_transformer(made["image_tokens"].astype(np.float64), weights)
    assert np.abs(made["planes"] - expected).max() < 1e-5 * np.abs(expected).max()


def test_density_and_colour_of_points(model, made, weights):
    original = model.original(Recipe(**RECIPE))
    points = RADIUS * (2.1 * DRAW.random((2, 60, 3)) - 1.05)
    given = {"points": points.astype(np.float32), "planes": made["planes"]}
    found = original.run_program("field", given)
    assert np.allclose(found["excess"], found["density"] - LEVEL, atol=1e-3)
    for i in range(2):
        expected = density_and_color(given["points"][i].astype(np.float64), made["planes"][i], weights)
        assert np.allclose(found["density"][i, :, 0], expected[:, 0], rtol=1e-5)
        assert np.allclose(found["color"][i], expected[:, 1:], rtol=1e-5)
    assert found["density"].std() > 1  # there is something to see


def test_colours_along_rays_are_added_up_from_front_to_back(model, made, weights):
    original = model.original(Recipe(**RECIPE))
    origins = np.array([[1.9, 0.1, 0.3], [0.2, -2.0, 0.5], [0, 0, 3], [1.9, 0.1, 0.3]])
    directions = np.array([[-1, 0, -0.1], [0.0, 1, -0.3], [1, 0, 0], [-1, 0.4, 0.2]])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rays = np.stack([origins, directions], axis=1).astype(np.float32)
    found = original.run_program("renderer", {"rays": rays[None], "planes": made["planes"][:1]})["color"][0]
    for ray, color in zip(rays.astype(np.float64), found, strict=True):
        assert np.allclose(color, _along(ray, made["planes"][0], weights), atol=2e-6)
    assert np.array_equal(found[2], np.ones(3)) and found[0].min() < 0.9


def _along(ray, planes, weights, samples=24):
    (origin, direction), edge = ray, RADIUS * (1 - 1e-3)
    direction = np.where(np.abs(direction) < 1e-6, 1e-6, direction)
    planes_met = np.stack([(edge - origin) / direction, (-edge - origin) / direction])
    near, far = max(planes_met.min(axis=0).max(), 0), planes_met.max(axis=0).min()
    if far - near <= 0.01:
        return np.ones(3)
    depths = near + (far - near) * (np.arange(samples) + 0.5) / samples
    values = density_and_color(origin + depths[:, None] * ray[1], planes, weights)
    color, left = np.zeros(3), 1.0
    for density, *own in values:
        alpha = 1 - math.exp(-density / samples)
        color += left * alpha * np.array(own)
        left *= 1 - alpha
    return color + left
