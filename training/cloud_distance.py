"""Point-E's model of the signed distance to a cloud, small."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from exporter.families.point_e.networks import DistanceSize, SignedDistance
from training.clouds import Clouds
from training.config import PointEConfig
from training.loop import DEVICE, Draw, fit, mixed_precision
from training.point_diffusion import coarser, roughened

RAW = 0.5  # raw units per unit of an object
NEAR = 0.04  # raw units: places that are nearer to the surface count most


def train_distance(config: PointEConfig, clouds: Clouds, folder: Path) -> nn.Module:
    """Distances in raw units, positive inside."""
    own = config.distance
    torch.manual_seed(own.schedule.seed)
    network = SignedDistance(DistanceSize(own.width, own.encoder_layers, own.decoder_layers)).to(DEVICE)
    nn.init.zeros_(network.output_proj.weight)
    nn.init.zeros_(network.output_proj.bias)

    def loss(step: int, draw: Draw) -> Tensor:
        objects = draw.integers(len(clouds.points), own.schedule.batch)
        count = (config.points + config.added) // coarser(step, own.schedule, config)
        cloud = roughened(clouds.some(objects, draw, count)[..., :3], config.rough, draw)
        chosen = draw.integers(clouds.places.shape[1], own.places)
        places = clouds.places[objects][:, chosen].float()
        wanted = -RAW * clouds.distance[objects][:, chosen, None].float()
        with mixed_precision():
            distance = network(RAW * places, *network.encode(RAW * cloud)).float()
        return distance_loss(distance, wanted, own.far)

    with sdpa_kernel(SDPBackend.MATH):
        return fit("point_e_distance", network, loss, own.schedule, folder)


def distance_loss(distance: Tensor, wanted: Tensor, far: float) -> Tensor:
    """Between distances that are no farther than `far`, most where the surface is near."""
    weight = 0.2 + torch.exp(-((wanted / NEAR) ** 2))
    error = (distance - wanted.clamp(-far, far)) / far
    # Beyond `far` it is enough to be beyond.
    error = torch.where((wanted.abs() > far) & (distance.abs() > far) & (distance * wanted > 0), 0.0, error)
    return (weight * F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.1, reduction="none")).mean()
