"""What TripoSR's small model learns from: pictures that an object fills as the reader of pictures leaves it, and
samples of the object's field in the frame of that picture.

The frame is the released model's: z up, the camera on +x at CAMERA_DISTANCE, whose picture shows HALF_PICTURE to each
side of the origin. Scale and place of an object are therefore those of its picture, not the world's.
"""

import math
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.config import ViewConfig
from training.data import CHUNK, field_samples, sample_objects
from training.images import render
from training.loop import DEVICE, TrainingReport, note_time
from training.objects import VIEW_DISTANCE, Object, Scene

FOREGROUND = 0.85
CAMERA_DISTANCE, FIELD_OF_VIEW = 1.9, math.radians(40)
HALF_PICTURE = CAMERA_DISTANCE * math.tan(FIELD_OF_VIEW / 2)
BACKGROUND = 0.5


@dataclass
class Views:
    images: Tensor  # u8 [N, V, S, S, 3]
    turn: Tensor  # [N, V] azimuth of each view's camera
    center: Tensor  # [N, V, 3] the world's point that is the frame's origin
    scale: Tensor  # [N, V] the frame's units in one of the world's
    points: Tensor  # f16 [N, P, 3], in the world
    distance: Tensor  # f16 [N, P], negative inside
    tone: Tensor  # u8 [N, P]
    tones: Tensor  # [N, 2, 3]


def load_views(config: ViewConfig, folder: Path) -> Views:
    """The training set, from the work folder if it was made before."""
    path = folder / "views.safetensors"
    if not path.exists():
        began = time.monotonic()
        tensors = make_views(config)
        note_time(folder, "views", time.monotonic() - began)
        save_file(tensors, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return Views(**load_file(path, device=str(DEVICE)))


def make_views(config: ViewConfig) -> dict[str, Tensor]:
    objects, _ = sample_objects(config.seed, config.objects, captions=0)
    starts = range(0, len(objects), CHUNK)
    report, chunks = TrainingReport("views", 0, len(objects)), []
    with ProcessPoolExecutor(max_workers=config.workers, mp_context=get_context("spawn")) as pool:
        for chunk in pool.map(make_chunk, repeat(config), [objects[i : i + CHUNK] for i in starts], starts):
            chunks.append({key: torch.from_numpy(value) for key, value in chunk.items()})
            report.step(len(chunks) * CHUNK - 1)
    return {key: torch.cat([chunk[key] for chunk in chunks]) for key in chunks[0]}


def make_chunk(config: ViewConfig, objects: list[Object], start: int) -> dict[str, np.ndarray]:
    torch.set_num_threads(1)
    scene = Scene.of(objects, DEVICE)
    generator = torch.Generator(DEVICE).manual_seed(config.seed * 1_000_003 + start)
    made = field_samples(scene, config.points, generator)
    del made["shade"]
    views = [picture(scene, made, config, generator) for _ in range(config.views)]
    stacked = {key: torch.stack([view[key] for view in views], 1) for key in views[0]}
    return {key: value.cpu().numpy() for key, value in (made | stacked | {"tones": scene.tones}).items()}


def picture(
    scene: Scene, samples: dict[str, Tensor], config: ViewConfig, generator: torch.Generator
) -> dict[str, Tensor]:
    """One picture an object [B, S, S, 3], and its frame: turn [B], center [B, 3], scale [B]."""
    n, size = len(scene.kind), config.image_size
    u = torch.rand((3, n), generator=generator, device=DEVICE)
    azimuth = u[0] * 2 * math.pi
    low, high = config.elevation
    elevation = torch.deg2rad(low + (high - low) * u[1])
    origin, forward, right, down = axes_of(azimuth, elevation)
    middle, half = window(samples, origin, forward, right, down)
    half = half / (FOREGROUND * (1 + config.loose * (2 * u[2] - 1)))
    steps = (torch.arange(size, device=DEVICE) + 0.5) / size * 2 - 1
    v, h = torch.meshgrid(steps, steps, indexing="ij")
    grid = middle[:, None] + half[:, None, None] * torch.stack([h, v], -1).reshape(1, -1, 2)
    directions = forward[:, None] + right[:, None] * grid[..., :1] + down[:, None] * grid[..., 1:]
    colors = render(scene, origin, directions / directions.norm(dim=-1, keepdim=True), BACKGROUND)
    center = VIEW_DISTANCE * (right * middle[:, :1] + down * middle[:, 1:])
    return {
        "images": (colors * 255).round().to(torch.uint8).reshape(n, size, size, 3),
        "turn": azimuth,
        "center": center,
        "scale": HALF_PICTURE / (VIEW_DISTANCE * half),
    }


def axes_of(azimuth: Tensor, elevation: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cameras that look at the origin: their places, and unit vectors forward, right and down, all [B, 3]."""
    outward = torch.stack([elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()], -1)
    right = torch.stack([-azimuth.sin(), azimuth.cos(), torch.zeros_like(azimuth)], -1)
    return VIEW_DISTANCE * outward, -outward, right, torch.linalg.cross(-outward, right)


def window(
    samples: dict[str, Tensor], origin: Tensor, forward: Tensor, right: Tensor, down: Tensor
) -> tuple[Tensor, Tensor]:
    """The square of a picture that an object fills, as tangents: its middle [B, 2] and half its edge [B]."""
    away = samples["points"].float() - origin[:, None]
    depth = (away * forward[:, None]).sum(-1)
    places = torch.stack([(away * axis[:, None]).sum(-1) / depth for axis in (right, down)], -1)
    inside = (samples["distance"].float() < 0)[..., None]
    low = places.masked_fill(~inside, math.inf).amin(1)
    high = places.masked_fill(~inside, -math.inf).amax(1)
    return (low + high) / 2, ((high - low) / 2).amax(-1)


def in_frame(points: Tensor, turn: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """Points of the world [B, P, 3] in the frames [B] of their pictures."""
    x, y, z = (points - center[:, None]).unbind(-1)
    c, s = turn.cos()[:, None], turn.sin()[:, None]
    return torch.stack([c * x + s * y, c * y - s * x, z], -1) * scale[:, None, None]


def in_world(points: Tensor, turn: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """Points of pictures' frames [B, P, 3] in the world: the way back."""
    x, y, z = (points / scale[:, None, None]).unbind(-1)
    c, s = turn.cos()[:, None], turn.sin()[:, None]
    return torch.stack([c * x - s * y, s * x + c * y, z], -1) + center[:, None]
