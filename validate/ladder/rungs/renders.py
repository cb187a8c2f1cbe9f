"""Rung 5: pictures of the renderer stage. Both sides render the reference's latents."""

from __future__ import annotations

from exporter.pipeline.assets import ImageAsset
from exporter.runtime.assets.cameras import PAN_ELEVATION, camera_rays, orbit_camera
from exporter.runtime.rendering import render_rays
from validate.ladder.context import Context
from validate.ladder.images import psnr
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome, Rung

AZIMUTH_DEG = 40.0
DISTANCE = 4.0


def run(context: Context) -> Outcome:
    """PSNR of one picture a prompt, from a camera on diffusers' own orbit; the bundle skips empty space, as it does
    for people."""
    asset = context.pipeline.asset(ImageAsset)
    if asset is None:
        return Outcome(skipped="the pipeline has no renderer")
    stage = context.pipeline.stages[asset.stage]
    rays = camera_rays(orbit_camera(AZIMUTH_DEG, PAN_ELEVATION, DISTANCE), context.picture_size)
    limit = context.tolerance(*context.pipeline.decoders(asset.stage)).render_psnr_db
    figures = []
    for done, (prompt, reference, bundle) in enumerate(context.decoded(), start=1):
        similarity = psnr(render_rays(reference, rays), render_rays(bundle, rays, skip_empty=True))
        output = stage.outputs[0].name
        figures.append(Figure(asset.stage, output, "PSNR", similarity, "dB", limit, where=repr(prompt)))
        context.report("renders", done, len(context.prompts))
    return Outcome(figures, details={"size": context.picture_size})


RUNG = Rung("renders", "pictures of the renderer stage", run)
