"""A TripoSR whose field is a known shape, whatever the picture: its planes say where a point is, and the point network
is fitted to the shape in seconds. All else is computed as before.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from exporter.families.known_shapes import SHAPES, Distance
from exporter.families.triposr.released_layout import ReleasedConfig
from exporter.families.triposr.triplane_field import FieldSettings, look_up
from exporter.families.triposr.triplane_networks import PLANES
from exporter.machine.torch_threads import one_torch_thread

STEPS, BATCH, RATE, POOL = 400, 2048, 3e-3, 60_000
SOFTNESS = 0.03  # of the surface, as the small model is trained
QUIET = 1e-3  # of what the picture adds to the planes: neither nothing nor a shape


class ShapedPlanes:
    """Changes parts after they were filled; the point network is fitted when it is first wanted."""

    def __init__(self, config: ReleasedConfig, shape: str) -> None:
        self.config = config
        self.distance = SHAPES[shape]
        self._decoder: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def give(self, module: Any, part: str) -> None:
        """Change a part of the release in place."""
        if part == "tokenizer":
            squares = F.pixel_unshuffle(position_planes(self.config.planes), 2)
            module.embeddings[:, : squares.shape[1]] = squares
        elif part == "backbone":
            module.proj_out.weight *= QUIET
            module.proj_out.bias *= QUIET
        elif part == "post_processor":
            weight = module.upsample.weight  # [C, F, 2, 2]
            weight.copy_(torch.eye(len(weight), weight[0].numel()).view_as(weight))
            module.upsample.bias.zero_()
        elif part == "decoder":
            if not self._decoder:
                # A module made in inference mode has parameters that cannot be trained.
                with torch.inference_mode(False):
                    network = type(module)(**self.config.parts[part])
                    self._decoder = fitted(network, self.config, self.distance)
            module.load_state_dict(self._decoder)


def position_planes(shape: tuple[int, int, int, int]) -> torch.Tensor:
    """Planes [3, F, H, H] of a square's own place: its two coordinates, then sines and cosines of both, ever faster."""
    _, features, edge, _ = shape
    along = (torch.arange(edge) + 0.5) / edge * 2 - 1
    down, right = torch.meshgrid(along, along, indexing="ij")
    kept = [right, down]
    for octave in range(math.ceil((features - 2) / 4)):
        kept += [wave(math.pi * 2**octave * axis) for axis in (right, down) for wave in (torch.sin, torch.cos)]
    return torch.stack(kept[:features]).expand(PLANES, -1, -1, -1).contiguous()


def fitted(decoder: Any, config: ReleasedConfig, distance: Distance) -> dict[str, torch.Tensor]:
    """The weights of a point network that was trained anew on a shape; the same ones every time."""
    with torch.random.fork_rng(), torch.enable_grad(), one_torch_thread():
        torch.manual_seed(0)
        for layer in decoder.layers:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        planes = position_planes(config.planes)[None]
        pool = torch.rand(POOL, 3) * 2 - 1
        near = pool[distance(pool).abs().argsort()[: POOL // 6]]
        optimizer = torch.optim.Adam(decoder.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
        for _ in range(STEPS):
            points = torch.cat([part[torch.randint(len(part), (BATCH // 2,))] for part in (pool, near)])
            raw = decoder(look_up(planes, points[None])[0])
            optimizer.zero_grad()
            _loss(raw, distance(points), points, config.field).backward()
            optimizer.step()
            schedule.step()
    weights: dict[str, torch.Tensor] = decoder.state_dict()
    return weights


def _loss(raw: torch.Tensor, distance: torch.Tensor, points: torch.Tensor, field: FieldSettings) -> torch.Tensor:
    """Of raw densities, whose surface is at the level, and of colours by position; `distance` is positive inside."""
    surface = math.log(field.level) - field.density_bias
    inside = torch.sigmoid(distance / SOFTNESS)
    shape = F.binary_cross_entropy_with_logits(raw[:, 0] - surface, inside)
    return shape + (torch.sigmoid(raw[:, 1:]) - (points + 1) / 2).square().mean()
