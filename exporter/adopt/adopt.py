"""From a description to a bundle: programs and float files in place, goldens recorded, all of it listed and hashed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.adopt.described import Described
from exporter.adopt.float_bundle import float_bundle
from exporter.adopt.recorded import record_programs
from exporter.adopt.take_stage import take_stage
from exporter.errors import BundleError, RecipeError
from exporter.files.swap import replacing
from exporter.files.toolchain import versions
from exporter.machine.meter import Progress, Silent, metered
from exporter.manifest import ADOPTED, Manifest, WeightsPart, bundle_digest, list_files, require_replaceable, write_manifest
from exporter.pipeline.inputs import TextInput
from exporter.recipe.recipe import Recipe
from exporter.runtime.bundle import Bundle
from exporter.targets.target import load_target
from exporter.workshop.goldens import GOLDENS, GoldenParity, check, goldens_of, limit_db

INPUTS = "inputs"
# Backends that run an ONNX file as it is, here.
RUN_ONNX = ("onnxruntime", "onnxruntime-web", "openvino")


@dataclass(frozen=True)
class Adopted:
    """What was made. `parities`: of every output on every golden, for information: `validate` judges."""

    out: Path
    digest: str
    manifest: Manifest
    parities: list[GoldenParity]


def adopt(path: Path, out: Path, progress: Progress | None = None) -> Adopted:
    """Make the bundle of a described pipeline in `out`, replacing a bundle that is there only when all is well.

    Whether the programs are good enough decides nothing here. Raises RecipeError that names file, line and field of
    what is wrong in the description or in a file that it names, BundleError where `out` is something else than a
    bundle or the programs do not run one after the other.
    """
    described, progress = Described.read(path), progress or Silent()
    require_replaceable(out)
    with replacing(out) as folder:
        with metered("take programs", progress, []):
            manifest = _manifest(described, folder)
        with metered("record goldens", progress, []):
            (folder / GOLDENS).mkdir()
            record_programs(float_bundle(folder, manifest), described.content.goldens, folder / GOLDENS, progress)
        recorded = {name: goldens_of(folder, name) for name in manifest.stages}
        goldens = {name: [f"{GOLDENS}/{file.name}" for file in files] for name, files in recorded.items()}
        manifest = manifest.model_copy(update={"files": list_files(folder), "goldens": goldens})
        with metered("check programs", progress, []):
            parities = _parities(Bundle(folder, manifest), recorded)
        write_manifest(folder, manifest)
    return Adopted(out, bundle_digest(manifest), manifest, parities)


def _manifest(described: Described, folder: Path) -> Manifest:
    """The manifest but for goldens, with all that it names in the folder."""
    content = described.content
    try:
        target = load_target(content.target)
    except RecipeError as error:
        raise described.wrong(str(error), "target") from None
    if target.backend not in RUN_ONNX or target.status != "complete":
        raise described.wrong(f"'{target.name}' runs no ONNX files as they are; cpu does", "target")
    inputs = {name: _take_input(described, name, folder) for name in content.inputs}
    stages = {name: take_stage(described, name, folder) for name in content.stages}
    files = list_files(folder)
    reference = [file for one in stages.values() if one.float_program for file in _all_of(one.float_program)]
    recipe = _recipe(described)
    manifest = Manifest(
        name=f"{content.name}/{target.name}",
        recipe=recipe.data(),
        recipe_digest=recipe.digest,
        weights=WeightsPart(source=ADOPTED, digest=_digest(files, reference), trained=content.trained),
        target=target.model_dump(mode="json"),
        toolchain=versions(),
        files=files,
        stages=stages,
        inputs=inputs,
        assets=content.assets,
        goldens={},
    )
    try:
        manifest.require_sound()
    except RecipeError as error:
        raise described.of_pipeline(error) from None
    return manifest
