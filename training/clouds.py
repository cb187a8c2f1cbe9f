"""Clouds on the surfaces of objects, and distances about them: what Point-E's small model learns from. Made once, kept
in the work folder.

Coordinates and colours are in the units that Point-E diffuses: both about ±1. Colours are the objects' own, without
light, which whatever draws a mesh adds.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.config import CloudConfig, Config
from training.data import CHUNK, field_samples, sample_objects, tokenized
from training.image_prior import load_views
from training.loop import DEVICE, Draw, TrainingReport
from training.objects import Scene

CANDIDATES = 16  # points of the cube for every one that is kept


@dataclass
class Clouds:
    """Objects as clouds, each with a picture from one side and captions, and places about it."""

    points: Tensor  # f16 [N, P, 6]: x, y, z, then R, G, B in ±1
    places: Tensor  # f16 [N, Q, 3]
    distance: Tensor  # f16 [N, Q], negative inside
    images: Tensor  # u8 [N, S, S, 3], on white
    caption: Tensor  # i64 [N, C] index into `tokens`
    tokens: Tensor  # i64 [T, L]

    def some(self, objects: Tensor, draw: Draw, count: int) -> Tensor:
        """`count` points of each of these objects [B, count, 6]; the same places in the order for all of them, which
        says nothing, for there is none."""
        chosen = torch.randperm(self.points.shape[1], generator=draw.generator, device=DEVICE)[:count]
        return self.points[objects][:, chosen].float()


def load_clouds(config: Config, folder: Path) -> Clouds:
    """The clouds, from the work folder if they were made before."""
    path = folder / "clouds.safetensors"
    if not path.exists():
        save_file(make_clouds(config, folder), path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return Clouds(**load_file(path, device=str(DEVICE)))


def make_clouds(config: Config, folder: Path) -> dict[str, Tensor]:
    """Of the first objects whose pictures the small model that takes pictures learnt from."""
    own = config.point_e.clouds
    objects, captions = sample_objects(config.image.seed, config.image.objects, own.captions)
    objects, captions = objects[: own.objects], captions[: own.objects]
    texts = sorted({text for row in captions for text, _ in row})
    index = {text: i for i, text in enumerate(texts)}
    report, made = TrainingReport("clouds", 0, len(objects)), []
    for start in range(0, len(objects), CHUNK):
        generator = torch.Generator(DEVICE).manual_seed(config.image.seed * 1_000_033 + start)
        made.append(samples(Scene.of(objects[start : start + CHUNK], DEVICE), own, generator))
        report.step(min(start + CHUNK, len(objects)) - 1)
    return {key: torch.cat([chunk[key] for chunk in made]).cpu() for key in made[0]} | {
        "images": load_views(config.image, config.data, folder).images[: own.objects].cpu().clone(),
        "caption": torch.tensor([[index[text] for text, _ in row] for row in captions]),
        "tokens": tokenized(texts),
    }


def samples(scene: Scene, config: CloudConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """Points of the surface, places about it and their distances."""
    field = field_samples(scene, config.places, generator)
    return {
        "points": surface_points(scene, config.points, generator).half(),
        "places": field["points"],
        "distance": field["distance"],
    }


def surface_points(scene: Scene, count: int, generator: torch.Generator) -> Tensor:
    """Points on the surfaces with their colours [B, count, 6], about evenly spread: of many in the cube the nearest are
    moved onto it.
    """
    cube = torch.rand((len(scene.kind), CANDIDATES * count, 3), generator=generator, device=DEVICE) * 2 - 1
    nearest = scene.distances(cube)[0].abs().topk(count, dim=1, largest=False).indices
    points = cube.gather(1, nearest[..., None].expand(-1, -1, 3))
    for _ in range(2):
        distance = scene.distances(points)[0]
        normal, slope = scene.normals(points)
        points = points - normal * (distance / slope.clamp(min=0.2)).clamp(-0.2, 0.2)[..., None]
    color = scene.albedo(scene.distances(points)[1])
    return torch.cat([points, color * 2 - 1], -1)
