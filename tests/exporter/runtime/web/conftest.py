from __future__ import annotations

from pathlib import Path

import pytest

from exporter.build.build import build
from exporter.recipe.recipe_file import load_recipe
from exporter.targets.target import load_target

RECIPES = Path(__file__).parents[4] / "recipes"
QUICK = ("sampler.steps=3", "sampler.guidance_interval=[0, 30]", "render.coarse_samples=4", "render.fine_samples=4",
         "goldens.prompts=[a red chair]",
         "quantization.calibration.prompts=4", "quantization.calibration.steps=3", "mesh.grid=32",
         "validation.tolerances.int8={stage_snr_db: 5.0, trajectory_snr_db: 5.0, latents_relative_l2: 1.0, "
         "mesh_iou: 0.1, chamfer: 1.0, render_psnr_db: 10.0}")  # fmt: skip


@pytest.fixture(scope="session")
def web_bundles(step_cache, tmp_path_factory):
    """Bundles of the shipped model for the target web by precision, with few steps; not to be changed."""
    folder = tmp_path_factory.mktemp("web")
    recipes = {name: load_recipe(RECIPES / f"shape_e_{name}.yaml", QUICK) for name in ("fp32", "int8")}
    return {
        name: build(recipe, load_target("web"), folder / name, cache=step_cache) for name, recipe in recipes.items()
    }
