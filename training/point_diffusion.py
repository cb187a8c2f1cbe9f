"""Point-E's three diffusion transformers, small: a base model of texts, one of pictures, and the upsampler of both.

They predict noise, as the published ones do. An error of the noise is an error of the clean points times the noise
level, so at high levels the loss counts it accordingly, up to a limit.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from exporter.families.point_e.clip import PictureEncoder, TextVector
from exporter.families.point_e.diffusion_schedules import cosine_betas, linear_betas
from exporter.families.point_e.networks import CHANNEL_BIASES, CHANNEL_SCALES, DiffusionSize, PointDiffusion
from exporter.families.shap_e.image.image_model import load as load_image
from exporter.families.shap_e.model import load as load_text
from training.clip import normalise, on_plain_backgrounds, smudge
from training.clouds import Clouds
from training.config import DiffusionConfig, PointEConfig, Schedule
from training.loop import DEVICE, Draw, fit, mixed_precision

LEVELS = (0.02, 50.0)
Condition = Callable[[Tensor, Draw], Tensor]
"""Of objects [B] and the step's random numbers: what CLIP says of each."""


def train_text_base(config: PointEConfig, clouds: Clouds, folder: Path) -> nn.Module:
    vectors = text_vectors(config.text_source, clouds.tokens)
    base = make_network(config.text, "vector", vectors.shape[-1])

    def said(objects: Tensor, draw: Draw) -> Tensor:
        return vectors[clouds.caption[objects, draw.integers(clouds.caption.shape[1], len(objects))]]

    return train_base("point_e_text", base, config, config.text, said, clouds, folder)


def train_image_base(config: PointEConfig, text: nn.Module, clouds: Clouds, folder: Path) -> nn.Module:
    """Starts from what the base model of texts has, but what it sees of CLIP."""
    base = make_network(config.image, "grid", picture_tower(config).model.config.hidden_size)
    start_from(base, text, config.image_layers)
    seen = picture_grids(config, clouds)
    return train_base("point_e_image", base, config, config.image, seen, clouds, folder)


def train_base(
    name: str,
    base: PointDiffusion,
    config: PointEConfig,
    own: DiffusionConfig,
    condition: Condition,
    clouds: Clouds,
    folder: Path,
) -> nn.Module:
    sigmas = noise_levels(cosine_betas())

    def loss(step: int, draw: Draw) -> Tensor:
        objects = draw.integers(len(clouds.points), own.schedule.batch)
        given = kept(condition(objects, draw), draw.uniform(len(objects)) >= own.unconditional)
        clean = clouds.some(objects, draw, config.points // coarser(step, own.schedule, config))
        return noise_loss(base, clean, sigmas, own, draw, given)

    torch.manual_seed(own.schedule.seed)
    with sdpa_kernel(SDPBackend.MATH):  # on CPUs, the fused kernel's gradient is far slower in bfloat16
        return fit(name, base, loss, own.schedule, folder)


def train_upsampler(config: PointEConfig, text: nn.Module, clouds: Clouds, folder: Path) -> nn.Module:
    """Of both kinds: the picture is missing half of the time, and now and then the points too, for guidance.

    Starts from what the base model of texts has, to which the points that it is given are points like any other.
    """
    own = config.upsampler
    grids = picture_grids(config, clouds)
    upsampler = make_network(own, "grid", picture_tower(config).model.config.hidden_size, upsamples=True)
    start_from(upsampler, text, config.upsampler_layers)
    upsampler.cond_point_proj.load_state_dict(text.input_proj.state_dict())
    sigmas = noise_levels(linear_betas())
    scales, biases = (torch.tensor(values, device=DEVICE) for values in (CHANNEL_SCALES, CHANNEL_BIASES))

    def loss(step: int, draw: Draw) -> Tensor:
        objects = draw.integers(len(clouds.points), own.schedule.batch)
        share = draw.uniform(len(objects))
        grid = kept(grids(objects, draw), share >= own.unconditional)
        fewer = coarser(step, own.schedule, config)
        clean = clouds.some(objects, draw, config.points + config.added // fewer)
        low_res, finer = clean.split([config.points, config.added // fewer], dim=1)
        low_res = roughened(low_res, config.rough, draw)
        low_res = kept((low_res - biases) / scales, share >= config.text.unconditional)
        return noise_loss(upsampler, finer, sigmas, own, draw, grid, low_res)

    torch.manual_seed(own.schedule.seed)
    with sdpa_kernel(SDPBackend.MATH):
        return fit("point_e_upsampler", upsampler, loss, own.schedule, folder)


def make_network(config: DiffusionConfig, condition: str, clip_width: int, upsamples: bool = False) -> PointDiffusion:
    """With an output of zeros, to start with."""
    torch.manual_seed(config.schedule.seed)
    network = PointDiffusion(DiffusionSize(config.width, config.layers, condition, clip_width, upsamples))
    nn.init.zeros_(network.output_proj.weight)
    return network.to(DEVICE)


def start_from(network: PointDiffusion, source: nn.Module, layers: tuple[int, ...]) -> None:
    """Give a network these layers of another of the same width, and all else that both have but what is CLIP's."""
    blocks = "backbone.resblocks."
    kept = {f"{blocks}{layer}.": f"{blocks}{place}." for place, layer in enumerate(layers)}
    shared = {}
    for name, tensor in source.state_dict().items():
        block = ".".join([*name.split(".")[:3], ""])
        if name.startswith(blocks):
            shared |= {name.replace(block, kept[block], 1): tensor} if block in kept else {}
        elif not name.startswith("clip_embed."):
            shared[name] = tensor
    network.load_state_dict(shared, strict=False)


def noise_loss(
    network: PointDiffusion, clean: Tensor, sigmas: Tensor, config: DiffusionConfig, draw: Draw, *conditions: Tensor
) -> Tensor:
    """Clean points [B, P, 6] with noise of a level for each object, as `network` tells them apart."""
    timestep = draw_timesteps(len(clean), sigmas, draw)
    sigma = sigmas[timestep][:, None, None]
    noise = draw.normal(*clean.shape)
    noisy = (clean + sigma * noise) / (sigma.square() + 1).sqrt()
    with mixed_precision():
        predicted = network(noisy, timestep, *conditions).float()
    weight = 1 + sigma.clamp(max=config.highest).square()
    return (weight * (predicted - noise).square()).mean()


def coarser(step: int, schedule: Schedule, config: PointEConfig) -> int:
    """By how much fewer points are learnt from at this step."""
    return 2 if step < config.coarse * schedule.steps else 1


def draw_timesteps(n: int, sigmas: Tensor, draw: Draw) -> Tensor:
    """i64 [n], stratified over the batch: at noise levels that are even in their logarithm, whatever the schedule.

    What all points have in common, colour and shape, is decided while the noise of each is 2 to 30 times as large as
    they are: the cosine schedule's own share of those levels is a seventh, and little would be learnt of the caption.
    """
    place = (torch.arange(n, device=DEVICE) + draw.uniform(n)) / n
    low, high = (math.log(level) for level in LEVELS)
    return torch.searchsorted(sigmas, (low + place * (high - low)).exp()).clamp(max=len(sigmas) - 1)


def noise_levels(betas) -> Tensor:
    """sigma at each of the training timesteps of a schedule, ascending."""
    kept = torch.from_numpy(1 - betas).cumprod(0)
    return ((1 - kept) / kept).sqrt().float().to(DEVICE)


def kept(condition: Tensor, wanted: Tensor) -> Tensor:
    """A condition [B, ...] where it is wanted [B], zeros elsewhere, as where there is none."""
    return condition * wanted.view(-1, *[1] * (condition.ndim - 1))


def roughened(points: Tensor, rough: float, draw: Draw) -> Tensor:
    """Points [B, P, C] with noise of up to this level, one for each object, as points that were sampled have it."""
    return points + rough * draw.uniform(len(points), 1, 1) * draw.normal(*points.shape)


@torch.no_grad()
def text_vectors(source: str, tokens: Tensor) -> Tensor:
    """Token ids [T, L] to unit CLIP vectors [T, E]."""
    return TextVector(load_text(source).text_encoder()).to(DEVICE)(tokens).clone()


def picture_tower(config: PointEConfig) -> PictureEncoder:
    return PictureEncoder(load_image(config.image_source).image_encoder(), vector=False, grid=True).to(DEVICE)


def picture_grids(config: PointEConfig, clouds: Clouds) -> Condition:
    """CLIP's grids [B, T, W] of objects' pictures, on backgrounds of one colour."""
    tower = picture_tower(config)

    def grids(objects: Tensor, draw: Draw) -> Tensor:
        pixels = normalise(on_plain_backgrounds(clouds.images[objects], draw))
        with torch.no_grad(), mixed_precision():
            (grid,) = tower(smudge(pixels, draw, config.shift))
        return grid.float()

    return grids
