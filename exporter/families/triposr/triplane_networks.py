"""TripoSR's networks, from the classes of transformers and diffusers that they were made of.

Their parameters have the names of the released `model.ckpt`, part by part; those of the vision tower as transformers
calls them today.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import nn
from transformers import ViTConfig, ViTModel

PLANES = 3
NORM_EPS = 1e-6
# DINO's ViT-B/16 (facebook/dino-vitb16, config.json), whose layers TripoSR's release holds trained further.
VIT_B16: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "patch_size": 16,
    "image_size": 224,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU}


class ImageTokenizer(nn.Module):
    """Pictures [B, 3, S, S] in [0, 1] to tokens [B, 1 + (S / patch)², C]; its position embedding is for that S."""

    image_mean: torch.Tensor
    image_std: torch.Tensor

    def __init__(self, vit: dict[str, Any], image_size: int) -> None:
        super().__init__()
        self.model = ViTModel(ViTConfig(**vit | {"image_size": image_size}), add_pooling_layer=False)
        for name, values in (("image_mean", MEAN), ("image_std", STD)):
            self.register_buffer(name, torch.tensor(values, device="cpu").view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.model((pixels - self.image_mean) / self.image_std).last_hidden_state
        return tokens


class TriplaneTokens(nn.Module):
    """The learned tokens of three planes, [3, C, H, H]."""

    def __init__(self, plane_size: int, num_channels: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.randn(PLANES, num_channels, plane_size, plane_size) * num_channels**-0.5)

    def forward(self) -> torch.Tensor:
        """[1, C, 3 * H * H]."""
        return self.embeddings.transpose(0, 1).flatten(1)[None]


class Transformer1D(nn.Module):
    """Tokens [B, C, N] and what they attend to [B, T, D] to tokens [B, C, N]."""

    def __init__(
        self,
        in_channels: int,
        num_attention_heads: int,
        attention_head_dim: int,
        num_layers: int,
        cross_attention_dim: int,
        norm_num_groups: int = 32,
    ) -> None:
        super().__init__()
        width = num_attention_heads * attention_head_dim
        self.norm = nn.GroupNorm(norm_num_groups, in_channels, eps=NORM_EPS)
        self.proj_in = nn.Linear(in_channels, width)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(
                width,
                num_attention_heads,
                attention_head_dim,
                cross_attention_dim=cross_attention_dim,
                activation_fn="geglu",
            )
            for _ in range(num_layers)
        )
        self.proj_out = nn.Linear(width, in_channels)

    def forward(self, tokens: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        hidden = self.proj_in(self.norm(tokens).transpose(1, 2))
        for block in self.transformer_blocks:
            hidden = block(hidden, encoder_hidden_states=attended)
        return self.proj_out(hidden).transpose(1, 2) + tokens


class TriplaneUpsample(nn.Module):
    """Planes [B, 3, C, H, H] to planes [B, 3, F, 2 H, 2 H]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return self.upsample(planes.flatten(0, 1)).unflatten(0, (-1, PLANES))


class PointDecoder(nn.Module):
    """Features [..., 3 * F] of points to density and colour before their activations [..., 4]."""

    def __init__(self, in_channels: int, n_neurons: int, n_hidden_layers: int, activation: str) -> None:
        super().__init__()
        widths = [in_channels, *[n_neurons] * n_hidden_layers]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers, nn.Linear(n_neurons, 4))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        raw: torch.Tensor = self.layers(features)
        return raw


PART_CLASSES: dict[str, type[nn.Module]] = {
    "image_tokenizer": ImageTokenizer,
    "tokenizer": TriplaneTokens,
    "backbone": Transformer1D,
    "post_processor": TriplaneUpsample,
    "decoder": PointDecoder,
}


def scene_planes(tokens: nn.Module, backbone: nn.Module, upsample: nn.Module, attended: torch.Tensor) -> torch.Tensor:
    """Image tokens [B, T, D] to planes [B, 3, F, 2 H, 2 H], as the release computes them."""
    learned = tokens().expand(len(attended), -1, -1)
    side = tokens.get_parameter("embeddings").shape[-1]
    planes: torch.Tensor = upsample(backbone(learned, attended).unflatten(2, (PLANES, side, side)).transpose(1, 2))
    return planes
