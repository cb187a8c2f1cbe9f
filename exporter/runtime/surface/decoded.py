"""The field of one object of a run, and the mesh of its surface."""

from __future__ import annotations

import numpy as np

from exporter.errors import RecipeError
from exporter.pipeline.assets import MeshAsset
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.run import Run
from exporter.runtime.surface.extract import Field, OnSampled, extract_mesh
from exporter.runtime.surface.squash import Squash


def field_of(run: Run, chunk: int | None = None) -> Field:
    """The field that the pipeline's mesh is taken from, evaluated `chunk` points at a time.

    Raises RecipeError for a pipeline that ends in no mesh.
    """
    asset = run.pipeline.asset(MeshAsset)
    volume = run.pipeline.stages[asset.stage].volume if asset else None
    if asset is None or volume is None:
        raise RecipeError(f"this pipeline makes no mesh; it makes {', '.join(run.pipeline.assets)}")
    stage, distance, color = asset.stage, volume.distance, volume.color

    def distances(points: np.ndarray) -> np.ndarray:
        return run.at(stage, points, distance, chunk=chunk)[distance][:, 0]

    def colors(points: np.ndarray) -> np.ndarray:
        return run.at(stage, points, color, chunk=chunk)[color]

    return Field(distances, colors, Squash(volume.squash, volume.level))


def mesh_of(run: Run, grid: int, exact: bool = False, on_sampled: OnSampled | None = None) -> Mesh:
    """The mesh of a run's only object; `on_sampled` gets what was evaluated of the field for it."""
    asset = run.pipeline.asset(MeshAsset)
    as_openai = asset is not None and asset.conventions == "openai"
    return extract_mesh(field_of(run), grid, exact, on_sampled, as_openai)
