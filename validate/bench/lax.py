"""Tolerances that nothing misses, for bundles that are built to be measured and not to be shipped."""

from __future__ import annotations

from typing import get_args

from exporter.recipe.policy import Precision
from exporter.recipe.recipe import Recipe
from exporter.recipe.validation_section import Tolerances

# A row is measured however bad it is: nothing but a value that is not finite stops its build.
LAX: dict[str, float] = {
    "stage_snr_db": -1e3,
    "trajectory_snr_db": -1e3,
    "latents_relative_l2": 1e3,
    "mesh_iou": 0.0,
    "chamfer": 1e3,
    "render_psnr_db": -1e3,
}


def lax(recipe: Recipe) -> Recipe:
    """The recipe step by step, with tolerances that nothing misses, of what its own are about, in every precision."""
    own = recipe.validation.tolerances.values()
    kept = {name: value for name, value in LAX.items() if all(getattr(one, name) is not None for one in own)}
    tolerances = dict.fromkeys(get_args(Precision), Tolerances(**kept))
    stepwise = recipe.with_samplers(lambda sampler: sampler.model_copy(update={"unroll": "step"}))
    validation = recipe.validation.model_copy(update={"tolerances": tolerances})
    return stepwise.model_copy(update={"validation": validation})
