"""The float programs that travel in an adopted bundle, opened as the reference that it is compared with."""

from __future__ import annotations

import shutil
from pathlib import Path

from exporter.errors import BundleError
from exporter.files.swap import replacing
from exporter.manifest import Manifest, StagePart, require_replaceable, write_manifest
from exporter.runtime.beside import beside_former
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target

# What runs them: ONNX Runtime on the processor, whatever the deployed programs run on.
RUN_BY = "cpu"
FLOAT_NAME = "float"


def float_bundle(folder: Path, manifest: Manifest) -> Bundle:
    """The float programs of an adopted bundle. Raises BundleError for a stage without one."""
    return Bundle(folder, float_manifest(folder, manifest))


def float_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """The manifest with the float programs in the place of the deployed ones."""
    stages = {name: _in_float(folder, name, stage) for name, stage in manifest.stages.items()}
    target = load_target(RUN_BY).model_dump(mode="json")
    name = f"{manifest.recipe['name']}/{FLOAT_NAME}"
    return manifest.model_copy(update={"name": name, "stages": stages, "target": target, "engines": None})


def write_float_bundle(folder: Path, manifest: Manifest, out: Path) -> Manifest:
    """The float programs of an adopted bundle as a bundle of their own in `out`, whose goldens they gave themselves.

    Raises as `float_bundle`, and BundleError where `out` is something else than a bundle.
    """
    require_replaceable(out)
    alone = float_manifest(folder, manifest).model_copy(update={"validation": None})
    alone = alone.model_copy(update={"files": {name: manifest.files[name] for name in sorted(alone.used_files())}})
    with replacing(out, beside_former) as new:
        for name in alone.files:
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, new / name)
        write_manifest(new, alone)
    return alone


def _in_float(folder: Path, name: str, stage: StagePart) -> StagePart:
    given = stage.float_program
    if given is None:
        raise BundleError(f"{folder}: stage '{name}' has no float program that it could be compared with")
    size = sum((folder / file).stat().st_size for file in (given.program, *given.external_data))
    changed = given.model_dump() | {"precision": "fp32", "layers": {}, "size": size, "float_program": None}
    return stage.model_copy(update=changed)
