"""What is exported of Point-E, stage by stage."""

from __future__ import annotations

import torch
from torch import nn

from exporter.families.point_e.networks import CHANNEL_BIASES, CHANNEL_SCALES, CHANNELS, PointDiffusion, SignedDistance
from exporter.sampling.denoiser import Denoiser

BRIGHTEST = 255.0


class PointDenoiser(Denoiser):
    """A diffusion transformer without the embedding of its time, and without the variance half of its output.

    `no_picture`: how many tokens the grid of no picture has, which then is a part of the network and no condition.
    """

    def __init__(self, network: PointDiffusion, no_picture: int = 0) -> None:
        super().__init__()
        self.network = network
        self.output_proj = nn.Linear(network.size.width, CHANNELS, device="meta")
        rows = {name: tensor.detach()[:CHANNELS].clone() for name, tensor in network.output_proj.state_dict().items()}
        self.output_proj.load_state_dict(rows, assign=True)
        clip = [] if network.size.condition == "none" or no_picture else [network.clip_tokens]
        self.tokens = [*clip, *([network.point_tokens] if network.size.upsamples else [])]
        if no_picture:
            with torch.no_grad():
                nothing = torch.zeros(1, no_picture, network.size.clip_width, device=network.ln_pre.weight.device)
                self.no_picture = nn.Buffer(network.clip_tokens(nothing), persistent=False)

    def time_table(self, timesteps: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.network.time(timesteps)

    def forward(self, sample: torch.Tensor, time: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        tokens = [make(condition) for make, condition in zip(self.tokens, conditions, strict=True)]
        if hasattr(self, "no_picture"):
            tokens.insert(0, self.no_picture.expand(sample.shape[0], -1, -1))
        return self.network.hidden(sample, time, *tokens)

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.output_proj(hidden)


class RawPoints(nn.Module):
    """Points [B,P,6] as they are diffused to raw units: coordinates of about ±0.5, colours 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.Buffer(torch.tensor(CHANNEL_SCALES))
        self.biases = nn.Buffer(torch.tensor(CHANNEL_BIASES))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents - self.biases) / self.scales


class Cloud(nn.Module):
    """Points in raw units, and those that were sampled beside them, to positions [B,P,3] and sRGB colours [B,P,3].

    Colours are whole 255ths; positions stay as they were sampled, and may lie a little outside ±0.5.
    """

    def __init__(self) -> None:
        super().__init__()
        self.raw = RawPoints()

    def forward(self, low_res: torch.Tensor, *upsampled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        points = torch.cat([low_res, *(self.raw(latents) for latents in upsampled)], dim=1)
        positions, colors = points.split(3, dim=-1)
        return positions, colors.clamp(0.0, BRIGHTEST).round() / BRIGHTEST


class CloudEncoder(nn.Module):
    """Positions [B,P,3] to the keys and values of the field's layers."""

    def __init__(self, network: SignedDistance) -> None:
        super().__init__()
        self.network = network

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.network.encode(positions)


class DistanceField(nn.Module):
    """Signed distance (positive inside, unbounded), density and the colour of the nearest point, at points [B,Q,3].

    There is no density in Point-E: what lies inside is opaque by its depth.
    """

    def __init__(self, network: SignedDistance) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, points: torch.Tensor, positions: torch.Tensor, colors: torch.Tensor, *encoded: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        distance = self.network(points, *encoded)
        return distance, torch.relu(distance), nearest_colors(points, positions, colors)


def nearest_colors(points: torch.Tensor, positions: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
    """The colour [B,Q,3] of the position [B,P,3] that is nearest to each point [B,Q,3]."""
    closeness = 2.0 * torch.matmul(points, positions.transpose(1, 2)) - (positions**2).sum(-1)[:, None]
    nearest = closeness.argmax(dim=-1, keepdim=True)
    return torch.gather(colors, 1, nearest.expand(-1, -1, 3))
