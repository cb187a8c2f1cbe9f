"""Rung 5: pictures of the renderer stage. Both sides render the reference's latents."""

from __future__ import annotations

from exporter.runtime.assets.cameras import PAN_ELEVATION, camera_rays, orbit_camera
from exporter.runtime.generator import decode_context, render_rays
from validate.ladder.context import Context
from validate.ladder.images import psnr
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome, Rung

AZIMUTH_DEG = 40.0
DISTANCE = 4.0


def run(context: Context) -> Outcome:
    """PSNR of one picture a prompt, from a camera on diffusers' own orbit; the bundle skips empty space, as it does
    for people."""
    if "renderer" not in context.stages:
        return Outcome(skipped="the bundle has no renderer stage")
    latents = context.sample_reference()
    rays = camera_rays(orbit_camera(AZIMUTH_DEG, PAN_ELEVATION, DISTANCE), context.picture_size)
    limit = context.tolerance("projector", "renderer").render_psnr_db
    figures = []
    for index, prompt in enumerate(context.prompts):
        expected, actual = (
            render_rays(side, decode_context(side, latents[index : index + 1]), rays, skip_empty=side is context.bundle)
            for side in (context.reference, context.bundle)
        )
        figures.append(Figure("renderer", "color", "PSNR", psnr(expected, actual), "dB", limit, where=repr(prompt)))
        context.report("renders", index + 1, len(context.prompts))
    return Outcome(figures, details={"size": context.picture_size})


RUNG = Rung("renders", "pictures of the renderer stage", run)
