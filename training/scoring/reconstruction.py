"""How near TripoSR's small model comes to objects of combinations that it never saw, from one picture of each."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from exporter.families.registry import load_model
from exporter.families.triposr.triposr_original import TripoSROriginal
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.surface.extract import Field, extract_mesh
from exporter.runtime.surface.squash import PLAIN, Squash
from training.captions import split
from training.config import ViewConfig
from training.objects import Scene, draw
from training.views import in_world, make_chunk
from validate.ladder.meshes import chamfer_distance, volume_iou

RECIPE = Path(__file__).parents[2] / "recipes" / "triposr_fp32.yaml"
GRID, SEED = 48, 77
NEAR = 0.03  # of the surface, where colours are compared, in the frame's units


@dataclass(frozen=True)
class Reconstructions:
    """One number an object."""

    iou: np.ndarray
    chamfer: np.ndarray  # in units of the volume, which is 2 wide; infinite where nothing was made
    color: np.ndarray  # RMSE of sRGB near the true surface

    def table(self) -> str:
        """As Markdown: means, medians and how many made nothing."""
        made = np.isfinite(self.chamfer)
        rows = [
            ("volume IoU", self.iou),
            ("Chamfer distance", self.chamfer[made]),
            ("colour RMSE near the surface", self.color),
        ]
        lines = [f"| {len(self.iou)} held-out objects | mean | median |", "|---|---:|---:|"]
        lines += [f"| {name} | {values.mean():.3f} | {np.median(values):.3f} |" for name, values in rows]
        return "\n".join([*lines, f"| nothing made | {int((~made).sum())} | |"])


@torch.inference_mode()
def reconstruct(weights: str, count: int) -> Reconstructions:
    """Objects of held-out combinations, one picture of each, and what the original makes of it."""
    model = load_model("triposr", weights)
    original = model.original(load_recipe(RECIPE))
    size = original.pipeline.pictures["picture"].size
    config = replace(ViewConfig(), seed=SEED, views=1, points=512, image_size=size)
    rng, held = np.random.default_rng(SEED), split()[1]
    scores = []
    for k in range(count):
        drawn = draw(rng, held[rng.integers(len(held))])
        view = {key: torch.from_numpy(value) for key, value in make_chunk(config, [drawn], k).items()}
        frame = tuple(view[name][:, 0] for name in ("turn", "center", "scale"))
        pixels = (view["images"][:, 0].float() / 255).permute(0, 3, 1, 2).contiguous().numpy()
        scores.append(_score(original, Scene.of([drawn]), frame, pixels))
    return Reconstructions(*(np.array(column) for column in zip(*scores, strict=True)))


def _score(original: TripoSROriginal, scene: Scene, frame: tuple, pixels: np.ndarray) -> tuple[float, float, float]:
    radius = original.pipeline.half_width
    made = original.run_program("image_encoder", {"pixels": pixels})
    planes = original.run_program("backbone", made)["planes"]

    def theirs(points: np.ndarray) -> dict[str, np.ndarray]:
        return original.run_program("field", {"points": radius * points[None], "planes": planes})

    def true(points: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        distance, tone = scene.distances(in_world(torch.from_numpy(radius * points[None]), *frame))
        return distance[0] * frame[2], scene.albedo(tone)[0]

    level = original.pipeline.stages["field"].volume.level
    fields = (
        Field(lambda p: theirs(p)["excess"][0, :, 0], lambda p: theirs(p)["color"][0], Squash("exp", level)),
        Field(lambda p: -true(p)[0].numpy(), lambda p: true(p)[1].numpy(), PLAIN),
    )
    along = np.linspace(-1, 1, GRID, dtype=np.float32)
    lattice = np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)
    distance, albedo = true(lattice)
    near = np.abs(distance.numpy()) < NEAR
    error = fields[0].color(lattice[near]) - albedo.numpy()[near]
    iou = volume_iou(fields[0].distance(lattice) > 0, distance.numpy() < 0)
    chamfer = chamfer_distance(*(extract_mesh(field, GRID, exact=True) for field in fields), count=2000)
    return iou, chamfer, float(np.sqrt((error**2).mean()))
