"""The pictures that come with the recipes: objects that no model was trained on, drawn fine and made smaller."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.captions import by_shape, draw_attributes, split
from training.images import camera_rays, render
from training.objects import Attributes, Object, Scene, draw

FOLDER = Path(__file__).parent.parent / "recipes" / "pictures"
SIZE, FINENESS = 128, 4
SEED = 21
ELEVATION = 25.0
# The first are for people and goldens, the others are what INT8 takes its ranges from.
NAMED = {
    "red_chair": Attributes("chair", "red"),
    "blue_mug": Attributes("mug", "blue", part_color="yellow"),
    "green_car": Attributes("car", "green", part_color="black"),
}
CALIBRATION = 12


def write_example_pictures(folder: Path = FOLDER) -> list[Path]:
    """The same bytes every time, for one version of the libraries."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, groups = np.random.default_rng(SEED), by_shape(split()[0])
    wanted = dict(NAMED) | {f"object_{i:02}": draw_attributes(rng, groups) for i in range(CALIBRATION)}
    paths = []
    for name, attributes in wanted.items():
        paths.append(folder / f"{name}.png")
        drawn = draw(rng, attributes)
        view(drawn, rng.uniform(0, 360), ELEVATION, SIZE).save(paths[-1], optimize=True)
    return paths


def view(drawn: Object, azimuth: float, elevation: float, size: int) -> Image.Image:
    """One object from one side, angles in degrees, its edges smooth."""
    angles = (torch.deg2rad(torch.tensor([angle])) for angle in (azimuth, elevation))
    rays = camera_rays(*angles, size * FINENESS)
    colors = render(Scene.of([drawn]), *rays).reshape(size * FINENESS, size * FINENESS, 3)
    fine = Image.fromarray((colors * 255).round().to(torch.uint8).numpy())
    return fine.resize((size, size), Image.Resampling.BOX)
