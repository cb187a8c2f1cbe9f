"""Random TripoSRs: the release's configuration at full size and a tiny one for tests."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from exporter.families.triposr.released_layout import CLASSES, LEVEL
from exporter.families.weights import fill_random

DENSITY_BIAS = -1.0
DENSITY_SPREAD = 8.0  # so that it is not about the surface's everywhere


def config_of(
    image_size: int,
    plane_size: int,
    heads: int,
    head_width: int,
    layers: int,
    features: int,
    neurons: int,
    hidden_layers: int,
    vit: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A config.yaml as data, of these sizes; `vit`: of the vision tower, where it is not DINO's ViT-B/16."""
    width = heads * head_width
    attended = vit["hidden_size"] if vit else 768
    sections: dict[str, dict[str, Any]] = {
        "image_tokenizer": {"vit": vit} if vit else {"pretrained_model_name_or_path": "facebook/dino-vitb16"},
        "tokenizer": {"plane_size": plane_size, "num_channels": width},
        "backbone": {
            "in_channels": "${tokenizer.num_channels}",
            "num_attention_heads": heads,
            "attention_head_dim": head_width,
            "num_layers": layers,
            "cross_attention_dim": attended,
        },
        "post_processor": {"in_channels": width, "out_channels": features},
        "decoder": {
            "in_channels": 3 * features,
            "n_neurons": neurons,
            "n_hidden_layers": hidden_layers,
            "activation": "silu",
        },
        "renderer": {
            "radius": 0.87,
            "feature_reduction": "concat",
            "density_activation": "exp",
            "density_bias": DENSITY_BIAS,
            "num_samples_per_ray": 128,
        },
    }
    data: dict[str, Any] = {"cond_image_size": image_size}
    for name, section in sections.items():
        data |= {f"{name}_cls": CLASSES[name], name: section}
    return data


RANDOM_SIZES: dict[str, dict[str, Any]] = {
    "triposr": config_of(512, 32, 16, 64, 16, 40, 64, 9),
    "triposr-tiny": config_of(
        32,
        4,
        4,
        16,
        2,
        8,
        16,
        2,
        vit={
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "intermediate_size": 96,
            "patch_size": 8,
            "image_size": 16,
        },
    ),
}


def fill_random_part(module: nn.Module, part: str, seed: int) -> None:
    """Seeded random weights for one part. The density of the field is about its surface's, so that there is one."""
    fill_random(module, seed)
    if part == "decoder":
        last = module.get_submodule("layers")[-1]  # type: ignore[index]
        with torch.no_grad():
            last.weight[0] *= DENSITY_SPREAD
            last.bias[0] = math.log(LEVEL) - DENSITY_BIAS
