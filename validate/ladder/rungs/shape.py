"""Rung 4: field and mesh, or points. Both sides decode the reference's latents: only the decoder is judged."""

from __future__ import annotations

import numpy as np

from exporter.pipeline.assets import MeshAsset, PointsAsset
from exporter.pipeline.pipeline import Volume
from exporter.runtime.assets.points import points_of
from exporter.runtime.run import Arrays, Run
from exporter.runtime.surface.decoded import mesh_of
from exporter.runtime.surface.extract import grid_points
from validate.ladder.clouds import color_psnr, points_distance
from validate.ladder.compare import parity_figures
from validate.ladder.context import Context
from validate.ladder.meshes import chamfer_distance, volume_iou
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome, Rung

CHUNK = 32_768


def run(context: Context) -> Outcome:
    """Volume IoU on the grid and Chamfer distance of the meshes, with the field's own figures beside them; of points
    their Chamfer distance and the PSNR of their colours."""
    mesh, points = context.pipeline.asset(MeshAsset), context.pipeline.asset(PointsAsset)
    volume = context.pipeline.stages[mesh.stage].volume if mesh else None
    if volume is None and points is None:
        return Outcome(skipped="the pipeline makes no mesh and no points")
    figures: list[Figure] = []
    for done, (prompt, reference, bundle) in enumerate(context.decoded(), start=1):
        if mesh and volume:
            figures += _compare(context, mesh.stage, volume, (reference, bundle), repr(prompt))
        if points:
            figures += _compare_points(context, points, (reference, bundle), repr(prompt))
        context.report("shapes", done, len(context.prompts))
    return Outcome(figures, details={"grid": context.grid} if mesh else {})


def _compare(context: Context, stage: str, volume: Volume, sides: tuple[Run, Run], where: str) -> list[Figure]:
    limits = context.tolerance(*context.pipeline.decoders(stage))
    fields = [sample_field(side, stage, context.grid) for side in sides]
    occupied = [field[volume.distance][:, 0] > 0 for field in fields]
    meshes = [mesh_of(side, context.grid) for side in sides]
    iou, chamfer = volume_iou(*occupied), chamfer_distance(*meshes)
    return [
        Figure(stage, volume.distance, "volume IoU", iou, "", limits.mesh_iou, "at least", where),
        Figure(stage, "mesh", "Chamfer distance", chamfer, "", limits.chamfer, "at most", where),
        *(
            figure
            for tensor in fields[0]
            for figure in parity_figures(stage, tensor, fields[0][tensor], fields[1][tensor], where=where)
        ),
    ]


def _compare_points(context: Context, asset: PointsAsset, sides: tuple[Run, Run], where: str) -> list[Figure]:
    pipeline = context.pipeline
    deciding = {name for tensor in (asset.positions, asset.colors) if tensor for name in pipeline.decoders_of(tensor)}
    limits = context.tolerance(*deciding)
    clouds = [points_of(side) for side in sides]
    places, apart = pipeline.maker(asset.positions), points_distance(*clouds)
    figures = [Figure(places, asset.positions, "Chamfer distance", apart, "", limits.chamfer, "at most", where)]
    if asset.colors:
        similar, painter = color_psnr(*clouds), pipeline.maker(asset.colors)
        figures.append(Figure(painter, asset.colors, "PSNR", similar, "dB", limits.render_psnr_db, where=where))
    return figures


def sample_field(run: Run, stage: str, grid: int) -> Arrays:
    """The field's tensors [grid³, channels] of a run's only object at every point of the lattice."""
    points = grid_points(np.indices((grid, grid, grid), dtype=np.int32).reshape(3, -1).T, grid)
    names = [spec.name for spec in run.pipeline.stages[stage].outputs]
    return run.at(stage, points, *names, chunk=CHUNK)


RUNG = Rung("shape", "field and mesh, or points, from the reference's latents", run)
