"""Latents: an encoder from an object's parameters to Shap-E latents, trained together with Shap-E's renderer (its
projection and its MLP).

The encoder only makes training data for the prior and is not shipped. Its latents end in a batch norm without scale
and a tanh, so they lie in [-1, 1] with even variance, which is what a diffusion prior with clipped samples needs (Jun
and Nichol 2023, section 4).
"""

from pathlib import Path

import torch
from diffusers.pipelines.shap_e.renderer import ShapERenderer, posenc_nerf
from torch import Tensor, nn
from torch.nn import functional as F

from training.config import LatentConfig
from training.data import Dataset
from training.loop import DEVICE, Draw, fit
from training.objects import PARAMETERS, SHAPE_NAMES, TURN

OCTAVES = 5  # of the 15 in Shap-E's encoding: finer ones are held at zero, the objects have no such detail
SHARPNESS = 8.0  # the field is tanh(-SHARPNESS * distance), positive inside
OPACITY = 40.0  # density inside


class Encoder(nn.Module):
    """Object parameters [B, PARAMETERS] -> latents [B, tokens, d_latent] in [-1, 1]."""

    def __init__(self, config: LatentConfig) -> None:
        super().__init__()
        width = config.width
        inputs = PARAMETERS + len(SHAPE_NAMES) * (TURN.stop - TURN.start)
        self.trunk = nn.Sequential(
            nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.skip = nn.Linear(inputs, width)
        self.out = nn.Linear(width, config.tokens * config.d_latent)
        self.norm = nn.BatchNorm1d(config.d_latent, affine=False)

    def forward(self, parameters: Tensor) -> Tensor:
        # a turn looks different on every shape
        turned = parameters[:, : len(SHAPE_NAMES), None] * parameters[:, None, TURN]
        seen = torch.cat([parameters, turned.flatten(1)], 1)
        tokens = self.out(self.trunk(seen) + self.skip(seen)).unflatten(1, (-1, self.norm.num_features))
        return torch.tanh(self.norm(tokens.transpose(1, 2)).transpose(1, 2))


def make_renderer(config: LatentConfig) -> ShapERenderer:
    """Shap-E's renderer at the small size, its first `projected` layers given by the latent."""
    d = config.d_hidden
    shapes = [(d, 93)] + [(d, d)] * (config.projected - 1)
    renderer = ShapERenderer(
        param_names=[f"nerstf.mlp.{i}.weight" for i in range(config.projected)],
        param_shapes=shapes,
        d_latent=config.d_latent,
        d_hidden=d,
    )
    kept = torch.zeros(93)
    kept[encoding_columns()] = 1
    for index, projection in enumerate(renderer.params_proj.projections.values()):
        fan_in = len(encoding_columns()) if index == 0 else d
        with torch.no_grad():
            projection.norm.weight.fill_(fan_in**-0.5)
            if index == 0:
                projection.norm.weight.mul_(kept)
                projection.proj.bias.copy_((projection.proj.bias.view(d, 93) * kept).reshape(-1))
        if index == 0:
            projection.norm.weight.register_hook(lambda g: g * kept.to(g.device))
            projection.norm.bias.register_hook(lambda g: g * kept.to(g.device))
            projection.proj.bias.register_hook(lambda g: (g.view(d, 93) * kept.to(g.device)).reshape(-1))
    for parameter in (renderer.mlp.mlp[i].weight for i in range(config.projected)):
        parameter.requires_grad_(False)
    return renderer


def encoding_columns() -> list[int]:
    """Where the first OCTAVES of Shap-E's position encoding stand among its 93 columns."""
    return [*range(3), *range(3, 3 + 3 * OCTAVES), *range(48, 48 + 3 * OCTAVES)]


def partly_turned(parameters: Tensor, points: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The same objects with only a share of their yaw: parameters [B, PARAMETERS] and points [B, P, 3], turned back.

    Training starts with nearly aligned objects and lets them turn by and by. With full turns from the start the
    encoder settles on objects smeared around their axis and does not get away from there.
    """
    yaw = torch.atan2(parameters[:, TURN.start], parameters[:, TURN.start + 1])
    now, back = share * yaw, (share - 1) * yaw
    turn = torch.stack([now.sin(), now.cos(), (2 * now).sin(), (2 * now).cos()], 1)
    parameters = torch.cat([parameters[:, : TURN.start], turn, parameters[:, TURN.stop :]], 1)
    c, s = back.cos()[:, None], back.sin()[:, None]
    x, y, z = points.unbind(-1)
    return parameters, torch.stack([c * x - s * y, s * x + c * y, z], -1)


def query(renderer: ShapERenderer, weights: dict[str, Tensor], points: Tensor) -> Tensor:
    """The MLP of each object at its own points, before the output's activations: points [B, P, 3] -> [B, P, 12]."""
    columns = encoding_columns()
    h = posenc_nerf(points, min_deg=0, max_deg=OCTAVES)
    for i, layer in enumerate(renderer.mlp.mlp):
        weight = weights.get(f"nerstf.mlp.{i}.weight")
        if weight is None:
            h = F.linear(h, layer.weight[:, : h.shape[-1]], layer.bias)
        else:
            weight = weight[..., columns] if i == 0 else weight
            h = torch.baddbmm(layer.bias, h, weight.transpose(1, 2))
        h = F.silu(h) if i < len(renderer.mlp.mlp) - 1 else h
    return h


def targets(distance: Tensor, albedo: Tensor, shade: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the MLP should say: field [B, P], scaled density before its ReLU [B, P], albedo and lit colour [B, P, 3]."""
    return (
        torch.tanh(-SHARPNESS * distance),
        (0.3 - distance / 0.06).clamp(-0.3, 1.0),
        albedo,
        albedo * shade[..., None],
    )


def field_loss(out: Tensor, distance: Tensor, albedo: Tensor, shade: Tensor, lit_share: float) -> Tensor:
    """`lit_share` 0 leaves out the lit colours."""
    field, density, albedo, lit = targets(distance, albedo, shade)
    near = torch.exp(-((distance / 0.08) ** 2))[..., None]
    weight = 1 + 4 * near[..., 0]
    shape = (
        weight * ((torch.tanh(out[..., 0]) - field).square() + 0.3 * (torch.tanh(out[..., 0]) - field).abs())
    ).mean()
    opacity = sum(F.smooth_l1_loss(out[..., i] / OPACITY, density, beta=0.1) for i in (1, 2))
    colors = torch.sigmoid(out[..., 3:])
    color = (near * (colors[..., :3] - albedo).square()).mean()
    light = sum((near * (colors[..., s : s + 3] - lit).square()).mean() for s in (3, 6))
    return shape + 0.1 * opacity + 4 * color + 2 * lit_share * light


class Autoencoder(nn.Module):
    def __init__(self, config: LatentConfig) -> None:
        super().__init__()
        self.encoder, self.renderer = Encoder(config), make_renderer(config)

    def forward(self, parameters: Tensor, points: Tensor) -> Tensor:
        return query(self.renderer, self.renderer.params_proj(self.encoder(parameters)), points)


def train_latents(config: LatentConfig, data: Dataset, folder: Path) -> Autoencoder:
    torch.manual_seed(config.schedule.seed)
    model = Autoencoder(config).to(DEVICE)

    def loss(step: int, draw: Draw) -> Tensor:
        objects = draw.integers(len(data.parameters), config.schedule.batch)
        chosen = draw.integers(data.points.shape[1], config.points)
        tone = data.tone[objects][:, chosen].long()
        albedo = data.tones[objects].gather(1, tone[..., None].expand(-1, -1, 3))
        share = min(1.0, 0.1 + 0.9 * step / config.turning)
        parameters, points = partly_turned(data.parameters[objects], data.points[objects][:, chosen].float(), share)
        distance, shade = (values[objects][:, chosen].float() for values in (data.distance, data.shade))
        return field_loss(
            model(parameters, points), distance, albedo, shade, float(share == 1)
        )  # the lamp does not turn

    return fit("latents", model, loss, config.schedule, folder)
