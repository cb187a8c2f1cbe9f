"""A bundle, the add-on that runs it and the wheels that it needs, as a zip that Blender installs."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exporter.blender.requirement import RUNTIMES, modules, requirement
from exporter.blender.wheels import platforms_of
from exporter.errors import BundleError
from exporter.files.temporary import delete_abandoned, temporary
from exporter.manifest import MANIFEST, Manifest
from exporter.pipeline.assets import MeshAsset
from exporter.pipeline.sampling import NEGATIVE
from exporter.runtime.inputs.values import QUALITIES

ADDON = Path(__file__).parent / "addon"
OLDEST_BLENDER = "4.2.0"
OLDEST_NUMPY = "1.24.3"
"""Of the oldest Blender; wheels that go with it go with the numpy 1.26 of later ones too."""
# The same bundle gives the same bytes.
WRITTEN = (1980, 1, 1, 0, 0, 0)


def extension_id(manifest: Manifest) -> str:
    """shape_e_int8_cpu of shape_e_int8/cpu: what Blender takes as the name of a module."""
    found = re.sub(r"\W+", "_", manifest.name.lower(), flags=re.ASCII).strip("_")
    return found if found[:1].isalpha() else f"bundle_{found}"


def require_runs_in_blender(folder: Path, manifest: Manifest) -> None:
    """Raises BundleError for a bundle that makes no mesh, or whose programs Blender's Python cannot run."""
    if manifest.asset(MeshAsset) is None:
        raise BundleError(f"{folder}: it makes no mesh; it makes {', '.join(manifest.assets)}")
    backend = manifest.target["backend"]
    if backend not in RUNTIMES or manifest.engines:
        raise BundleError(
            f"{folder}: programs for {backend} do not run in Blender's Python; build the recipe with --target cpu"
        )


def write_extension(folder: Path, manifest: Manifest, path: Path, version: str, wheels: Sequence[Path] = ()) -> None:
    """Writes the zip, whole or not at all.

    Raises BundleError as `require_runs_in_blender`, RecipeError as `platforms_of`.
    """
    require_runs_in_blender(folder, manifest)
    platforms = platforms_of(list(wheels))
    delete_abandoned(path.parent, path.name, "zip")
    with temporary(path.parent, path.name, "zip") as place:
        with zipfile.ZipFile(place / path.name, "w", zipfile.ZIP_STORED) as archive:
            _add(archive, "blender_manifest.toml", _manifest(manifest, version, wheels, platforms).encode())
            _add(archive, "about.json", json.dumps(_about(folder, manifest, version), indent=2).encode())
            for source in sorted(ADDON.glob("*.py")):
                _add(archive, source.name, source.read_bytes())
            for name in sorted([MANIFEST, *manifest.files]):
                _add_file(archive, f"bundle/{name}", folder / name)
            for wheel in wheels:
                _add_file(archive, f"wheels/{wheel.name}", wheel)
        (place / path.name).replace(path)


def _about(folder: Path, manifest: Manifest, version: str) -> dict[str, Any]:
    """What the add-on has to know before it can import anything of ours."""
    return {
        "id": extension_id(manifest),
        "name": manifest.name,
        "takes": sorted({source.kind for source in manifest.inputs.values()}),
        "negative": NEGATIVE in manifest.condition_sets,
        "qualities": QUALITIES,
        "requirement": requirement(folder, manifest, version),
        "modules": modules(folder, manifest),
    }


def _manifest(manifest: Manifest, version: str, wheels: Sequence[Path], platforms: Sequence[str]) -> str:
    """blender_manifest.toml. Its words of JSON are words of TOML too."""
    fields: dict[str, Any] = {
        "schema_version": "1.0.0",
        "id": f"t3export_{extension_id(manifest)}",
        "version": version if re.fullmatch(r"\d+\.\d+\.\d+", version) else "0.0.0",
        "name": f"t3export {manifest.name}"[:64],
        "tagline": "Makes objects of prompts or pictures on this machine",
        "maintainer": "t3export",
        "type": "add-on",
        "blender_version_min": OLDEST_BLENDER,
        "license": ["SPDX:Apache-2.0"],
        "tags": ["Add Mesh"],
    }
    if wheels:
        fields["wheels"] = [f"./wheels/{wheel.name}" for wheel in wheels]
    if platforms:
        fields["platforms"] = list(platforms)
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
    # Nothing is fetched: no permission for the network.
    permissions = {"files": "Read the bundle and a picture, write a temporary mesh"}
    lines += ["", "[permissions]", *(f"{name} = {json.dumps(why)}" for name, why in permissions.items())]
    return "\n".join([*lines, ""])


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, WRITTEN), content, zipfile.ZIP_DEFLATED)


def _add_file(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    entry = zipfile.ZipInfo(name, WRITTEN)
    entry.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(entry, "w") as target:
        while piece := source.read(2**20):
            target.write(piece)
