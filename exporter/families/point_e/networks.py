"""Point-E's three kinds of networks, with the names of the published tensors and points last: [B, points, channels].

The condition models of arXiv 2212.08751: points are denoised among the tokens of the time and of what conditions them,
and a signed distance is read off a cloud by cross-attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from exporter.families.point_e.transformer import MLP, Block, CrossBlock, Transformer

CHANNELS = 6  # x, y, z, R, G, B
LONGEST_PERIOD = 10000
# From raw units (coordinates of about ±0.5, colours 0 to 255) to those that diffusion is in: raw * scale + bias.
CHANNEL_SCALES = (2.0, 2.0, 2.0, 0.007843137255, 0.007843137255, 0.007843137255)
CHANNEL_BIASES = (0.0, 0.0, 0.0, -1.0, -1.0, -1.0)

Condition = Literal["none", "vector", "grid"]


@dataclass(frozen=True)
class DiffusionSize:
    """What tells one diffusion transformer from another.

    `clip_width`: of the CLIP vector, or of each token of the grid. `upsamples`: whether it takes points too.
    """

    width: int
    layers: int
    condition: Condition
    clip_width: int = 0
    upsamples: bool = False


@dataclass(frozen=True)
class DistanceSize:
    """What tells one signed distance model from another."""

    width: int
    encoder_layers: int
    decoder_layers: int


class PointDiffusion(nn.Module):
    """The diffusion transformer of any of the published models: a raw prediction for noisy points.

    The second half of its output, the variance, is used by no sampler here.
    """

    def __init__(self, size: DiffusionSize) -> None:
        super().__init__()
        self.size = size
        width = size.width
        self.time_embed = MLP(width)
        self.ln_pre = nn.LayerNorm(width)
        self.backbone = Transformer(width, size.layers)
        self.ln_post = nn.LayerNorm(width)
        self.input_proj = nn.Linear(CHANNELS, width)
        self.output_proj = nn.Linear(width, 2 * CHANNELS)
        if size.condition == "vector":
            self.clip_embed: nn.Module = nn.Linear(size.clip_width, width)
        if size.condition == "grid":
            self.clip_embed = nn.Sequential(nn.LayerNorm(size.clip_width), nn.Linear(size.clip_width, width))
        if size.upsamples:
            self.cond_point_proj = nn.Linear(CHANNELS, width)
            self.channel_scales = nn.Buffer(torch.tensor(CHANNEL_SCALES))
            self.channel_biases = nn.Buffer(torch.tensor(CHANNEL_BIASES))

    def time(self, timesteps: torch.Tensor) -> torch.Tensor:
        """The tokens [T,W] of timesteps [T]: sinusoids, cosines first, through an MLP."""
        half = self.size.width // 2
        frequencies = torch.exp(-math.log(LONGEST_PERIOD) * torch.arange(half, dtype=torch.float32) / half)
        angles = timesteps[:, None].to(frequencies) * frequencies
        return self.time_embed(torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1))

    def clip_tokens(self, clip: torch.Tensor) -> torch.Tensor:
        """Of unit CLIP vectors [B,E], which get unit variance, one token each; of grids [B,T,E] T tokens."""
        if self.size.condition == "vector":
            return self.clip_embed(math.sqrt(clip.shape[-1]) * clip)[:, None]
        return self.clip_embed(clip)

    def point_tokens(self, low_res: torch.Tensor) -> torch.Tensor:
        """Of the points [B,P,6], in raw units, that are upsampled."""
        return self.cond_point_proj(low_res * self.channel_scales + self.channel_biases)

    def hidden(self, points: torch.Tensor, time: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        """What `output_proj` takes [B,P,W], from noisy points [B,P,6] and the tokens of time [B,W] and conditions."""
        tokens = torch.cat([time[:, None], *conditions, self.input_proj(points)], dim=1)
        tokens = self.ln_post(self.backbone(self.ln_pre(tokens)))
        return tokens[:, -points.shape[1] :]

    def forward(self, points: torch.Tensor, timesteps: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        """Noise [B,P,6] as it is predicted for points at timesteps [B], from CLIP's output and points to upsample."""
        makers: list[Callable[[torch.Tensor], torch.Tensor]] = (
            [self.clip_tokens] if self.size.condition != "none" else []
        )
        makers += [self.point_tokens] if self.size.upsamples else []
        tokens = [make(condition) for make, condition in zip(makers, conditions, strict=True)]
        return self.output_proj(self.hidden(points, self.time(timesteps), *tokens))[..., :CHANNELS]


class SignedDistance(nn.Module):
    """A cloud of points, without their colours, to the signed distance at any place, positive inside."""

    def __init__(self, size: DistanceSize) -> None:
        super().__init__()
        self.size = size
        self.encoder_input_proj = nn.Linear(3, size.width)
        self.encoder = Transformer(size.width, size.encoder_layers, Block)
        self.decoder_input_proj = nn.Linear(3, size.width)
        self.decoder = Transformer(size.width, size.decoder_layers, CrossBlock)
        self.ln_post = nn.LayerNorm(size.width)
        self.output_proj = nn.Linear(size.width, 1)

    @property
    def cross_blocks(self) -> list[CrossBlock]:
        """The layers of the decoder."""
        return [block for block in self.decoder.resblocks if isinstance(block, CrossBlock)]

    def encode(self, positions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Positions [B,P,3] to the keys and values [B,P,W] of every layer of the decoder, in turn."""
        cloud = self.encoder(self.encoder_input_proj(positions))
        return tuple(tensor for block in self.cross_blocks for tensor in block.keys_and_values(cloud))

    def forward(self, places: torch.Tensor, *encoded: torch.Tensor) -> torch.Tensor:
        """The signed distance [B,Q,1] at places [B,Q,3]; none depends on another."""
        tokens = self.decoder_input_proj(places)
        for block, keys, values in zip(self.cross_blocks, encoded[::2], encoded[1::2], strict=True):
            tokens = block(tokens, keys, values)
        return self.output_proj(self.ln_post(tokens))
