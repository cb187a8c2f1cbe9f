"""The float programs that travel in an adopted bundle, opened as the reference that it is compared with."""

from __future__ import annotations

from pathlib import Path

from exporter.errors import BundleError
from exporter.manifest import Manifest, StagePart
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


def _in_float(folder: Path, name: str, stage: StagePart) -> StagePart:
    given = stage.float_program
    if given is None:
        raise BundleError(f"{folder}: stage '{name}' has no float program that it could be compared with")
    size = sum((folder / file).stat().st_size for file in (given.program, *given.external_data))
    changed = given.model_dump() | {"precision": "fp32", "layers": {}, "size": size, "float_program": None}
    return stage.model_copy(update=changed)
