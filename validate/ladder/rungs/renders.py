"""Rung 5: pictures, rendered or made as a tensor. Both sides decode the reference's latents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporter.pipeline.assets import ImageAsset, PixelTensor
from exporter.runtime.assets.cameras import PAN_ELEVATION, camera_rays, orbit_camera
from exporter.runtime.assets.tensor_picture import tensor_colors
from exporter.runtime.rendering import render_rays
from exporter.runtime.run import Run
from validate.ladder.context import Context
from validate.ladder.images import psnr
from validate.ladder.result import Figure
from validate.ladder.rungs.rung import Outcome, Rung

AZIMUTH_DEG = 40.0
DISTANCE = 4.0


# Colours of an object's picture in [0, 1], of the reference and of the bundle.
Looks = tuple[Callable[[Run], np.ndarray], Callable[[Run], np.ndarray]]


def run(context: Context) -> Outcome:
    """PSNR of one picture a prompt: of what a stage makes, or from a camera on diffusers' own orbit, where the bundle
    skips empty space, as it does for people."""
    pipeline = context.pipeline
    asset = pipeline.asset(ImageAsset)
    if asset is None:
        return Outcome(skipped="the pipeline makes no image")
    deciding = pipeline.decoders(asset.stage)
    if asset.stage not in deciding:
        return Outcome(
            skipped="the picture is of what is sampled, or before it: the rungs stages and latents compare it"
        )
    size, looks = _of_tensor(asset.pixels) if asset.pixels else _rendered(context.picture_size)
    tensor = asset.pixels.name if asset.pixels else pipeline.stages[asset.stage].outputs[0].name
    limit = context.tolerance(*deciding).render_psnr_db
    figures = []
    for done, (prompt, *sides) in enumerate(context.decoded(), start=1):
        of_reference, of_bundle = (look(side) for look, side in zip(looks, sides, strict=True))
        similarity = psnr(of_reference, of_bundle)
        figures.append(Figure(asset.stage, tensor, "PSNR", similarity, "dB", limit, where=repr(prompt)))
        context.report("renders", done, len(context.prompts))
    return Outcome(figures, details=size)


def _of_tensor(pixels: PixelTensor) -> tuple[dict[str, int], Looks]:
    def look(side: Run) -> np.ndarray:
        return tensor_colors(side, pixels)

    return {}, (look, look)


def _rendered(size: int) -> tuple[dict[str, int], Looks]:
    rays = camera_rays(orbit_camera(AZIMUTH_DEG, PAN_ELEVATION, DISTANCE), size)
    return {"size": size}, (
        lambda reference: render_rays(reference, rays),
        lambda bundle: render_rays(bundle, rays, skip_empty=True),
    )


RUNG = Rung("renders", "pictures from the reference's latents", run)
