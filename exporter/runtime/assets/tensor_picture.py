"""The colours of a picture that a stage makes as a tensor."""

from __future__ import annotations

import numpy as np

from exporter.pipeline.assets import PixelTensor
from exporter.runtime.run import Run


def tensor_colors(run: Run, pixels: PixelTensor) -> np.ndarray:
    """sRGB float64 [height, width, 3] in [0, 1] of a run's only object. Raises RecipeError for several."""
    run.require_one()
    black, white = pixels.range
    values = run[pixels.name][0].astype(np.float64)
    colors = (values if pixels.channels == "last" else values.transpose(1, 2, 0)) - black
    return np.clip(colors / (white - black), 0.0, 1.0)
