"""USD: as text with its pictures beside it, or as a package that phones open."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePath

from exporter.runtime.assets.formats.usd_stage import usd_stage
from exporter.runtime.assets.label import Label
from exporter.runtime.assets.optional import optional
from exporter.runtime.assets.pictures import png
from exporter.runtime.assets.placing import Placed
from exporter.runtime.assets.texture.texture import Texture

INSIDE = "object"
# The second day that a zip knows, in any time zone.
WRITTEN = 315_662_400


def to_usda(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """chair.png, chair_normal.png and chair.usda. Raises EnvironmentProblem without usd-core."""
    stem = PurePath(name).stem
    stage = usd_stage(placed, label, stem)
    return _pictures(placed.texture, stem) | {name: stage.GetRootLayer().ExportToString().encode()}


def to_usdz(placed: Placed, label: Label | None, name: str) -> dict[str, bytes]:
    """One file with everything in it. Raises EnvironmentProblem without usd-core."""
    stage = usd_stage(placed, label, INSIDE)
    with tempfile.TemporaryDirectory() as folder:
        layer, package = (str(Path(folder) / f"{INSIDE}.{suffix}") for suffix in ("usdc", "usdz"))
        for file, content in _pictures(placed.texture, INSIDE).items():
            (Path(folder) / file).write_bytes(content)
        stage.GetRootLayer().Export(layer)
        # The package keeps the times of its files, which would make every one another.
        for path in Path(folder).iterdir():
            os.utime(path, (WRITTEN, WRITTEN))
        optional("pxr.UsdUtils").CreateNewUsdzPackage(layer, package)
        return {name: Path(package).read_bytes()}


def _pictures(texture: Texture | None, stem: str) -> dict[str, bytes]:
    if texture is None:
        return {}
    files = {f"{stem}.png": png(texture.base_color)}
    return files if texture.normal_map is None else files | {f"{stem}_normal.png": png(texture.normal_map)}
