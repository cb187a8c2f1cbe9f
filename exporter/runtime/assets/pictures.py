"""Picture files of a mesh, of points, of a radiance field and of a tensor."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from exporter.errors import RecipeError
from exporter.pipeline.assets import ImageAsset
from exporter.pipeline.pipeline import Pipeline
from exporter.runtime.assets.cameras import PAN_ELEVATION, camera_rays, orbit_camera
from exporter.runtime.assets.mesh import Mesh
from exporter.runtime.assets.points import PointCloud
from exporter.runtime.assets.rasterize import render_mesh
from exporter.runtime.assets.splat_points import render_points
from exporter.runtime.assets.tensor_picture import tensor_colors
from exporter.runtime.rendering import render_rays
from exporter.runtime.run import Run

AZIMUTH = 35.0
TURNTABLE_ELEVATION = 25.0
FRAME_MILLISECONDS = 80


def turntable_gif(shown: Mesh | PointCloud, size: int = 256, frames: int = 24) -> bytes:
    """An endless GIF, once around a mesh or points."""
    azimuths = np.arange(frames) * (360.0 / frames)
    pictures = [Image.fromarray(view) for view in _views(shown, azimuths.tolist(), size)]
    written = io.BytesIO()
    pictures[0].save(
        written, "GIF", save_all=True, append_images=pictures[1:], duration=FRAME_MILLISECONDS, loop=0, optimize=False
    )
    return written.getvalue()


def picture_of(run: Run, size: int | None = None) -> np.ndarray:
    """The picture uint8 [height, width, 3] of a run's only object. Raises RecipeError as `picture_size`, and for a
    pipeline that ends in no image."""
    asset = run.pipeline.asset(ImageAsset)
    if asset is None:
        raise RecipeError(f"this pipeline makes no image; it makes {', '.join(run.pipeline.assets)}")
    height, _ = picture_size(run.pipeline, asset, size)
    return to_bytes(tensor_colors(run, asset.pixels)) if asset.pixels else rendered_picture(run, height)


def picture_size(pipeline: Pipeline, asset: ImageAsset, wanted: int | None = None) -> tuple[int, int]:
    """Height and width of an image in pixels; `wanted`: along each edge, in place of a renderer's usual ones.

    Raises RecipeError where another size is wanted than that of a tensor.
    """
    if asset.pixels is None:
        size = wanted or asset.size
        assert size is not None
        return size, size
    made = next(spec for spec in pipeline.stages[asset.stage].makes if spec.name == asset.pixels.name)
    height, width = map(int, made.shape[2:] if asset.pixels.channels == "first" else made.shape[1:3])
    if wanted not in (None, max(height, width)):
        raise RecipeError(
            f"{wanted} pixels: this model's picture is as '{asset.stage}' makes it, {width} x {height} pixels"
        )
    return height, width


def rendered_picture(run: Run, size: int) -> np.ndarray:
    """A picture uint8 [size, size, 3] of a run's only object from the renderer, no mesh needed.

    The camera is one of diffusers' pan cameras but for its azimuth of 35 degrees.
    """
    colors = render_rays(run, view_rays(size), skip_empty=True)
    return to_bytes(colors.reshape(size, size, 3))


def to_bytes(colors: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] as uint8."""
    return np.round(colors * 255.0).astype(np.uint8)


def view_rays(size: int) -> np.ndarray:
    """The rays float32 [size * size, 2, 3] of that picture."""
    return camera_rays(orbit_camera(AZIMUTH, PAN_ELEVATION, 4.0), size)


def mesh_picture(mesh: Mesh, size: int) -> np.ndarray:
    """A picture uint8 [size, size, 3] of a mesh from the same side."""
    return _views(mesh, [AZIMUTH], size)[0]


def points_picture(cloud: PointCloud, size: int) -> np.ndarray:
    """A picture uint8 [size, size, 3] of points from the same side."""
    return _views(cloud, [AZIMUTH], size)[0]


def _views(shown: Mesh | PointCloud, azimuths: Sequence[float], size: int) -> np.ndarray:
    if isinstance(shown, PointCloud):
        return render_points(shown, azimuths, TURNTABLE_ELEVATION, size)
    return render_mesh(shown, azimuths, TURNTABLE_ELEVATION, size)


def png(picture: np.ndarray) -> bytes:
    """A picture uint8 [H, W, 3] as a PNG file."""
    return to_png(Image.fromarray(picture))


def to_png(picture: Image.Image) -> bytes:
    """A picture as a PNG file."""
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
