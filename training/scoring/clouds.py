"""What Point-E's small models make, as points and as meshes, beside the objects that they learnt from.

One object is drawn for each of the first captions. The text model gets the caption, the image model a picture of the
object from one side. The judge looks for the caption among all that are shipped, from pictures of the points, each a
disc of its colour, and from pictures of the mesh.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from exporter.families.original import Original
from exporter.families.registry import load_model
from exporter.recipe.recipe_file import load_recipe
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.points import PointCloud, points_of
from exporter.runtime.assets.rasterize import render_mesh
from exporter.runtime.assets.splat_points import render_points
from exporter.runtime.batch import made_objects
from exporter.runtime.run import requests_of
from exporter.runtime.surface.decoded import mesh_of
from exporter.runtime.surface.extract import Field, extract_mesh
from exporter.runtime.surface.squash import PLAIN
from training.clouds import surface_points
from training.config import Config
from training.loop import TrainingReport
from training.objects import Scene
from training.package import ZOO
from training.scoring.pictured import drawn_objects, pictures, prompts
from validate.judge.clip import Evaluator
from validate.objects.objects import Views, embed_views

RECIPES = Path(__file__).parents[2] / "recipes"
ROWS = {
    "truth": "ground-truth objects",
    "text_16": "from the caption, 16 steps",
    "text_1": "from the caption, 1 step",
    "text_64": "from the caption, 64 steps",
    "image_16": "from a picture, 16 steps",
    "image_1": "from a picture, 1 step",
}
Made = Iterator[tuple[PointCloud, Mesh]]


@dataclass(frozen=True)
class Seen:
    """What the judge saw of n objects: the mean of its views' embeddings [n, d] of the points and of the meshes, and
    which meshes were empty [n]."""

    points: np.ndarray
    meshes: np.ndarray
    empty: np.ndarray


def rows(work: Path, count: int) -> dict[str, Callable[[], Made]]:
    """By name, what makes the objects of the first `count` captions."""
    captions = [prompt.text for prompt in prompts()[:count]]

    def text(steps: int) -> Callable[[], Made]:
        return lambda: made(original("point_e_fp32.yaml", steps), captions)

    def image(steps: int) -> Callable[[], Made]:
        seen = [str(path) for path in pictures(work)[:count]]
        return lambda: made(original("point_e_image_fp32.yaml", steps), seen)

    sources = {"text": text, "image": image}
    sampled = [name.split("_") for name in ROWS if name != "truth"]
    return {"truth": lambda: truth(count)} | {f"{of}_{steps}": sources[of](int(steps)) for of, steps in sampled}


def original(recipe: str, steps: int) -> Original:
    """The model of a recipe in PyTorch, with this many of Heun's steps in each of its samplers."""
    own = load_recipe(RECIPES / recipe).with_samplers(lambda sampler: sampler.model_copy(update={"steps": steps}))
    return load_model(own.model.family, own.weights).original(own)


def made(programs: Original, asked: list[str]) -> Made:
    """The points and the mesh of each request, from a seed of its own."""
    grid = Views().grid
    for run in made_objects(programs, requests_of(programs.pipeline, asked), range(len(asked))):
        yield points_of(run), mesh_of(run, grid)


def truth(count: int) -> Made:
    """The same of the drawn objects themselves, with as many points as the models make."""
    config = Config().point_e
    for index, drawn in enumerate(drawn_objects()[:count]):
        scene = Scene.of([drawn])
        points = surface_points(scene, config.points + config.added, torch.Generator().manual_seed(index))[0].numpy()

        def distance(places: np.ndarray, scene: Scene = scene) -> np.ndarray:
            return -scene.distances(torch.from_numpy(places[None]).float())[0][0].numpy()

        def color(places: np.ndarray, scene: Scene = scene) -> np.ndarray:
            return scene.albedo(scene.distances(torch.from_numpy(places[None]).float())[1])[0].numpy()

        mesh = extract_mesh(Field(distance, color, PLAIN), Views().grid, exact=True)
        yield PointCloud(points[:, :3], (points[:, 3:] + 1) / 2), mesh


def measure(work: Path, count: int, only: str | None = None) -> None:
    """Makes the objects of every row that were not made before; those alone whose name contains `only`."""
    evaluator = Evaluator.load(ZOO / "shap_e_mini_evaluator")
    for name, makes in rows(work, count).items():
        path = stored_at(work, name, count)
        if path.exists() or (only and only not in name):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial.npz")
        np.savez(temporary, **asdict(looked_at(makes(), evaluator, TrainingReport(path.stem, 0, count))))
        temporary.replace(path)


def looked_at(objects: Made, evaluator: Evaluator, report: TrainingReport) -> Seen:
    """Objects as the judge sees them."""
    views = Views()
    embedded: dict[str, list[np.ndarray]] = {"points": [], "meshes": []}
    empty = []
    for index, (cloud, mesh) in enumerate(objects):
        shots = {"points": (render_points, cloud), "meshes": (render_mesh, mesh)}
        for what, (render, shown) in shots.items():
            shot = render(shown, views.azimuths_deg, views.elevation_deg, views.size)
            embedded[what].append(embed_views(evaluator, shot[None])[0])
        empty.append(mesh.is_empty)
        report.step(index)
    return Seen(np.stack(embedded["points"]), np.stack(embedded["meshes"]), np.array(empty))


def stored_at(work: Path, name: str, count: int) -> Path:
    return work / "scores" / f"clouds.{name}.{count}.npz"
