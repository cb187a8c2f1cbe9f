"""Colours along rays, from the renderer of a run's only object."""

from __future__ import annotations

import numpy as np

from exporter.errors import RecipeError
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.runtime.run import Run
from exporter.runtime.surface.occupancy import occupied_cells, rays_that_meet

# A ray that shows the background and nothing else.
PAST_THE_VOLUME = np.array([[[0.0, 0.0, 4.0], [1.0, 0.0, 0.0]]], np.float32)


def render_rays(run: Run, rays: np.ndarray, chunk: int | None = None, skip_empty: bool = False) -> np.ndarray:
    """Colours [R, 3] in [0, 1] along rays [R, 2, 3], rendered `chunk` rays at a time.

    `skip_empty`: rays that meet no density of the field on a lattice are given the background and not rendered, where
    the pipeline has a field. Raises RecipeError for a pipeline without a renderer's image.
    """
    mesh = run.pipeline.asset(MeshAsset)
    volume = run.pipeline.stages[mesh.stage].volume if mesh else None
    if not skip_empty or mesh is None or volume is None:
        return _rendered(run, rays, chunk)
    density, stage = volume.density, mesh.stage
    met = rays_that_meet(occupied_cells(lambda points: run.at(stage, points, density)[density][:, 0]), rays)
    colors = np.repeat(_rendered(run, PAST_THE_VOLUME, chunk), len(rays), axis=0)
    if met.any():
        colors[met] = _rendered(run, rays[met], chunk)
    return colors


def _rendered(run: Run, rays: np.ndarray, chunk: int | None) -> np.ndarray:
    asset = run.pipeline.asset(ImageAsset)
    if asset is None or asset.pixels:
        verb = "renders" if asset else "makes"
        raise RecipeError(f"this pipeline {verb} no image; it makes {', '.join(run.pipeline.assets)}")
    output = run.pipeline.stages[asset.stage].outputs[0].name
    return np.clip(run.at(asset.stage, rays, output, chunk=chunk)[output], 0.0, 1.0)
