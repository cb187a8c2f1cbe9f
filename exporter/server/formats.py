"""The files that a bundle's objects become over HTTP, by the name of their format."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import RecipeError, did_you_mean
from exporter.pipeline.assets import MeshAsset, PointsAsset
from exporter.pipeline.pipeline import Pipeline
from exporter.runtime.assets.meshfile import FORMATS
from exporter.runtime.assets.optional import is_installed
from exporter.runtime.assets.pointfile import POINT_FORMATS

MEDIA_TYPES = {
    "3mf": "model/3mf",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "png": "image/png",
    "stl": "model/stl",
    "zip": "application/zip",
}
OTHER = "application/octet-stream"
# usd-core writes this one through a folder, and nothing of a request is to be on a disk.
NOT_SERVED = ".usdz"
STEM = "object"
# The first day that a zip knows: the same object gives the same bytes.
WRITTEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class MadeFile:
    """The bytes of a file, its name and its media type."""

    name: str
    media_type: str
    content: bytes


def formats_of(pipeline: Pipeline) -> list[str]:
    """What the objects of a bundle can be written as here, the one that is meant where none is named first."""
    if pipeline.asset(MeshAsset):
        meshes = [
            suffix
            for suffix, form in FORMATS.items()
            if suffix != NOT_SERVED and (form.package is None or is_installed(form.package))
        ]
        return [suffix.removeprefix(".") for suffix in (*meshes, ".png", ".gif")]
    if pipeline.asset(PointsAsset):
        return [*(suffix.removeprefix(".") for suffix in POINT_FORMATS), "png", "gif"]
    return ["png"]


def require_format(name: object, formats: list[str]) -> str:
    """One of these formats. Raises RecipeError that lists them, and says why .usdz is none."""
    if isinstance(name, str) and name in formats:
        return name
    if name == NOT_SERVED.removeprefix("."):
        raise RecipeError(
            f"format: {name} is not served, since usd-core writes it through a folder; `t3export run -o object.usdz` "
            f"does. Allowed: {', '.join(formats)}"
        )
    raise RecipeError(f"format: no {name!r}; {did_you_mean(str(name), formats)}")


def media_types(formats: list[str]) -> list[str]:
    """Every media type that a file of these formats may have."""
    return sorted({MEDIA_TYPES.get(name, OTHER) for name in [*formats, "zip"]})


def one_file(files: dict[Path, bytes]) -> MadeFile:
    """The only file, or a zip of several: an .obj has its material and its pictures beside it."""
    (first, content), *others = files.items()
    if not others:
        return MadeFile(first.name, MEDIA_TYPES.get(first.suffix.removeprefix("."), OTHER), content)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path.name, WRITTEN), data, zipfile.ZIP_DEFLATED)
    return MadeFile(f"{first.stem}.zip", MEDIA_TYPES["zip"], packed.getvalue())
