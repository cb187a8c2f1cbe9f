"""Random weights have no surface. Here a field is given one: its network is fitted to a known shape in a minute.

Such weights are for speed and memory alone, where what a mesh costs depends on its surface.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.pipelines.shap_e.renderer import ShapERenderer
from torch.nn import functional as F

from exporter.families.known_shapes import SHAPES, Distance
from exporter.families.shap_e.modules import DENSITY, POSITION_DEGREES, RADIANCE, SIGNED_DISTANCE, TEXTURE
from exporter.machine.torch_threads import one_torch_thread

SHARPNESS, OPACITY = 8.0, 40.0  # as the small model is trained: the field is tanh(8 * distance)
STEPS, BATCH, RATE = 250, 1024, 3e-3
POOL = 60_000
DEGREES = 4  # of the position's frequencies; the higher ones would be noise


class ShapedField:
    """Gives renderers the field of one of SHAPES, whatever the latents; it is fitted when the first one comes."""

    def __init__(self, shape: str) -> None:
        self.shape = shape
        self._weights: dict[str, torch.Tensor] = {}

    def give(self, renderer: ShapERenderer) -> None:
        """Change a renderer in place."""
        if not self._weights:
            # A renderer made in inference mode has parameters that cannot be trained.
            with torch.inference_mode(False):
                settings = {name: value for name, value in renderer.mlp.config.items() if not name.startswith("_")}
                network = type(renderer.mlp)(**settings)
                fit(network, SHAPES[self.shape])
            self._weights = network.state_dict()
        renderer.mlp.load_state_dict(self._weights)
        project_to(renderer, self._weights)


def fit(network: Any, distance: Distance, steps: int = STEPS) -> None:
    """Train a field's network anew on a shape; on one thread, so that it becomes the same one every time."""
    with torch.random.fork_rng(), torch.enable_grad(), one_torch_thread():
        torch.manual_seed(0)
        for layer in network.mlp:
            layer.reset_parameters()
        network.requires_grad_(True)
        _train(network, distance, steps)
        network.requires_grad_(False)


def project_to(renderer: ShapERenderer, weights: dict[str, torch.Tensor]) -> None:
    """Make any latents be projected to these weights: all is computed as before, then scaled by 0 and shifted."""
    names = renderer.config["param_names"]
    for name, projection in zip(names, renderer.params_proj.projections.values(), strict=True):
        with torch.no_grad():
            projection.norm.weight.zero_()
            projection.norm.bias.zero_()
            projection.proj.bias.copy_(weights[name.removeprefix("nerstf.")].flatten())


def _train(network: Any, distance: Distance, steps: int) -> None:
    """Adam on points of the volume, half of them the nearest to the surface."""
    first, last = network.mlp[0].weight, network.mlp[-1]
    high = 3 + 3 * torch.arange(DEGREES, POSITION_DEGREES)[:, None] + torch.arange(3)
    high = torch.cat([high, high + 3 * POSITION_DEGREES]).flatten()
    said: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda _, given, raw: said.append(raw[0]))
    pool = torch.rand(POOL, 3) * 2 - 1
    near = pool[distance(pool).abs().argsort()[: POOL // 6]]
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for _ in range(steps):
        with torch.no_grad():
            first[:, high] = 0
        points = torch.cat([part[torch.randint(len(part), (BATCH // 2,))] for part in (pool, near)])
        network(position=points[None], direction=None, ts=None, nerf_level="fine", rendering_mode="stf")
        optimizer.zero_grad()
        _loss(said.pop(), SHARPNESS * distance(points), points).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        first[:, high] = 0
    hook.remove()


def _loss(raw: torch.Tensor, signed: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Of the network's channels before their activations: distance, both densities, and colours by position."""
    loss = (torch.tanh(raw[:, SIGNED_DISTANCE]).squeeze(-1) - torch.tanh(signed)).square().mean()
    for level in ("coarse", "fine"):
        density = raw[:, DENSITY[level]].squeeze(-1) / OPACITY
        loss = loss + 0.1 * F.smooth_l1_loss(density, torch.tanh(2 * signed), beta=0.1)
        loss = loss + 0.1 * (torch.sigmoid(raw[:, RADIANCE[level]]) - (points + 1) / 2).square().mean()
    return loss + 0.1 * (torch.sigmoid(raw[:, TEXTURE]) - (points + 1) / 2).square().mean()
