"""Rung 4: field and mesh. Both sides decode the reference's latents, so that only the decoder is judged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporter.runtime.generator import Context as DecodeContext
from exporter.runtime.generator import Generator, decode_context, decode_mesh
from exporter.runtime.surface.extract import grid_points
from validate.ladder.compare import parity_figures
from validate.ladder.context import Context
from validate.ladder.meshes import chamfer_distance, volume_iou
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome, Rung

CHUNK = 32_768
FIELD_TENSORS = ("signed_distance", "density", "color")


def run(context: Context) -> Outcome:
    """Volume IoU on the grid and Chamfer distance of the meshes, with the field's own figures beside them."""
    latents = context.sample_reference()
    figures: list[Figure] = []
    for index, prompt in enumerate(context.prompts):
        figures += _compare(context, latents[index : index + 1], repr(prompt))
        context.report("shapes", index + 1, len(context.prompts))
    return Outcome(figures, details={"grid": context.grid})


def _compare(context: Context, latents: NDArray[np.float32], where: str) -> list[Figure]:
    limits = context.tolerance("projector", "field")
    fields = [sample_field(side, latents, context.grid) for side in (context.reference, context.bundle)]
    occupied = [field["signed_distance"][:, 0] > 0 for field in fields]
    meshes = [decode_mesh(side, latents, context.grid) for side in (context.reference, context.bundle)]
    iou, chamfer = volume_iou(*occupied), chamfer_distance(*meshes)
    return [
        Figure("field", "signed_distance", "volume IoU", iou, "", limits.mesh_iou, "at least", where),
        Figure("field", "mesh", "Chamfer distance", chamfer, "", limits.chamfer, "at most", where),
        *(
            figure
            for tensor in FIELD_TENSORS
            for figure in parity_figures("field", tensor, fields[0][tensor], fields[1][tensor], where=where)
        ),
    ]


def sample_field(generator: Generator, latents: NDArray[np.float32], grid: int) -> DecodeContext:
    """The field's tensors [grid³, channels] of one object's latents [1, N, D] at every point of the lattice."""
    context = decode_context(generator, latents)
    points = grid_points(np.indices((grid, grid, grid), dtype=np.int32).reshape(3, -1).T, grid)
    parts = [generator.field(points[None, start : start + CHUNK], context) for start in range(0, len(points), CHUNK)]
    return {tensor: np.concatenate([part[tensor][0] for part in parts]) for tensor in FIELD_TENSORS}


RUNG = Rung("shape", "field and mesh from the reference's latents", run)
