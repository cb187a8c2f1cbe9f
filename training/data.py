"""The training set: objects, field samples around their surfaces, pictures and captions. Made once, kept in the work
folder.
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

from training.captions import by_shape, draw_attributes, draw_caption, is_true, make_tokenizer, split
from training.config import DataConfig
from training.images import camera_rays, render
from training.loop import DEVICE, TrainingReport, note_time
from training.objects import Object, Scene, draw, lambert

CHUNK = 64


@dataclass
class Dataset:
    parameters: Tensor  # [N, PARAMETERS]
    points: Tensor  # f16 [N, P, 3]
    distance: Tensor  # f16 [N, P], negative inside
    tone: Tensor  # u8 [N, P]
    shade: Tensor  # f16 [N, P]
    tones: Tensor  # [N, 2, 3]
    images: Tensor  # u8 [N, V, S, S, 3]
    caption: Tensor  # i64 [N, C] index into `texts`
    tokens: Tensor  # i64 [T, L]
    fits: Tensor  # bool [T, N] caption t is true of object n


def sample_objects(
    seed: int, objects: int, captions: int
) -> tuple[list[Object], list[list[tuple[str, dict[str, str]]]]]:
    """Random objects of the trained combinations and a few captions each."""
    rng = np.random.default_rng(seed)
    groups = by_shape(split()[0])
    drawn = [draw(rng, draw_attributes(rng, groups)) for _ in range(objects)]
    return drawn, [[draw_caption(rng, o.attributes) for _ in range(captions)] for o in drawn]


def load_dataset(config: DataConfig, folder: Path) -> Dataset:
    """The dataset, from the work folder if it was made before."""
    path = folder / "data.safetensors"
    if not path.exists():
        began = time.monotonic()
        tensors = make_dataset(config)
        note_time(folder, "data", time.monotonic() - began)
        save_file(tensors, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return Dataset(**load_file(path, device=str(DEVICE)))


def make_dataset(config: DataConfig) -> dict[str, Tensor]:
    objects, captions = sample_objects(config.seed, config.objects, config.captions)
    stated = {text: said for row in captions for text, said in row}
    texts = sorted(stated)
    index = {text: i for i, text in enumerate(texts)}
    attributes = sorted({o.attributes for o in objects}, key=repr)
    of = torch.tensor([attributes.index(o.attributes) for o in objects])
    truth = torch.tensor([[is_true(stated[t], a) for a in attributes] for t in texts])
    chunks = []
    report = TrainingReport("data", 0, len(objects))
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        for chunk in pool.map(make_chunk, repeat(config), repeat(objects), range(0, len(objects), CHUNK)):
            chunks.append({key: torch.from_numpy(value) for key, value in chunk.items()})
            report.step(len(chunks) * CHUNK - 1)
    return {key: torch.cat([chunk[key] for chunk in chunks]) for key in chunks[0]} | {
        "parameters": torch.tensor(np.stack([o.parameters() for o in objects])),
        "caption": torch.tensor([[index[text] for text, _ in row] for row in captions]),
        "tokens": tokenized(texts),
        "fits": truth[:, of].contiguous(),
    }


def tokenized(texts: list[str]) -> Tensor:
    """Token ids [T, L]."""
    return make_tokenizer()(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids


def make_chunk(config: DataConfig, objects: list[Object], start: int) -> dict[str, np.ndarray]:
    torch.set_num_threads(1)
    scene = Scene.of(objects[start : start + CHUNK], DEVICE)
    generator = torch.Generator(DEVICE).manual_seed(config.seed * 1_000_003 + start)
    samples = field_samples(scene, config.points, generator)
    made = samples | {"images": pictures(scene, config, generator), "tones": scene.tones}
    return {key: value.cpu().numpy() for key, value in made.items()}


def field_samples(scene: Scene, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Half of the points about the surface, a third around the object, the rest anywhere in the cube."""
    n = len(scene.kind)
    points = torch.rand((n, count, 3), generator=generator, device=DEVICE) * 2 - 1
    near = int(count * 0.85)
    points[:, :near] *= 0.9
    surface = int(count * 0.55)
    for _ in range(3):
        moved = points[:, :surface]
        distance, _ = scene.distances(moved)
        normal, slope = scene.normals(moved)
        step = (distance / slope.clamp(min=0.2)).clamp(-0.4, 0.4)
        points[:, :surface] = moved - normal * step[..., None]
    noise = torch.randn((n, surface, 3), generator=generator, device=DEVICE) * 0.035
    points[:, :surface] += noise
    points = points.clamp(-1, 1).half().float()
    distance, tone = scene.distances(points)
    normal, slope = scene.normals(points)
    return {
        "points": points.half(),
        "distance": (distance / slope.clamp(0.3, 1.5)).clamp(-2, 2).half(),
        "tone": tone.to(torch.uint8),
        "shade": lambert(normal).half(),
    }


def pictures(scene: Scene, config: DataConfig, generator: torch.Generator) -> Tensor:
    n, size = len(scene.kind), config.image_size
    low, high = config.elevation
    views = []
    for _ in range(config.views):
        u = torch.rand((4, n), generator=generator, device=DEVICE)
        elevation = torch.deg2rad(low + (high - low) * u[1])
        origin, directions = camera_rays(u[0] * 2 * math.pi, elevation, size, u[2:].T - 0.5)
        views.append((render(scene, origin, directions) * 255).round().to(torch.uint8).reshape(n, size, size, 3))
    return torch.stack(views, 1)
