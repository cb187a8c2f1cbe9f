"""From a description to a bundle: programs and float files in place, goldens recorded, all of it listed and hashed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.adopt.described import Described
from exporter.adopt.float_bundle import float_bundle
from exporter.adopt.record_programs import naming, record_programs
from exporter.adopt.take_stage import take_stage
from exporter.errors import BundleError, RecipeError
from exporter.files.swap import replacing
from exporter.files.toolchain import versions
from exporter.machine.meter import Progress, Silent, metered
from exporter.manifest import (
    ADOPTED,
    FilePart,
    Manifest,
    StagePart,
    WeightsPart,
    bundle_digest,
    list_files,
    require_replaceable,
    write_manifest,
)
from exporter.pipeline.assets import ImageAsset, MeshAsset
from exporter.pipeline.inputs import Input, PictureInput
from exporter.recipe.recipe import Recipe
from exporter.recipe.sampler_section import SamplerSection
from exporter.runtime.beside import beside_former
from exporter.runtime.bundle import Bundle
from exporter.runtime.inputs.tokenizer import PromptTokenizer
from exporter.targets.target import load_target
from exporter.workshop.cleaning_tables import write_cleaning
from exporter.workshop.goldens import GOLDENS, GoldenParity, check, golden_pictures, goldens_of, limit_db

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
    """Make the bundle of a described pipeline in `out`, replacing a bundle that is there only when all is well;
    what lies beside it stays.

    Whether the programs are good enough decides nothing here. Raises RecipeError that names file, line and field of
    what is wrong in the description, in a file that it names or in how the programs fit together, BundleError where
    `out` is something else than a bundle.
    """
    described, progress = Described.read(path), progress or Silent()
    require_replaceable(out)
    with replacing(out, beside_former) as folder:
        with metered("take programs", progress, []):
            manifest = _manifest(described, folder)
        try:
            with metered("record goldens", progress, []):
                (folder / GOLDENS).mkdir()
                wanted = described.content.goldens
                record_programs(float_bundle(folder, manifest), wanted, path.parent, folder / GOLDENS, progress)
            pictures = golden_pictures(manifest, wanted, path.parent)
            for name, picture in pictures.items():
                shutil.copyfile(picture, folder / name)
            recorded = {name: goldens_of(folder, name) for name in manifest.stages}
            goldens = {name: [f"{GOLDENS}/{file.name}" for file in files] for name, files in recorded.items()}
            recipe = manifest.recipe
            if pictures:
                recipe = recipe | {"goldens": recipe["goldens"] | {"prompts": list(pictures)}}
            manifest = manifest.model_copy(update={"files": list_files(folder), "goldens": goldens, "recipe": recipe})
            with metered("check programs", progress, []):
                parities = _parities(Bundle(folder, manifest), recorded)
        except BundleError as error:
            raise described.of_pipeline(error) from None
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
    recipe = _recipe(described)
    manifest = Manifest(
        name=f"{content.name}/{target.name}",
        recipe=recipe.data(),
        recipe_digest=recipe.digest,
        weights=WeightsPart(source=ADOPTED, digest=_digest(files, stages), trained=content.trained),
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


def _take_input(described: Described, name: str, folder: Path) -> Input:
    """An input whose file, where it has one, lies in the bundle."""
    given = described.content.inputs[name]
    if isinstance(given, PictureInput):
        return given
    source = described.file(given.file, "inputs", name, "file")
    taken = given.model_copy(update={"file": f"{INPUTS}/{name}/{source.name}"})
    (folder / taken.file).parent.mkdir(parents=True)
    shutil.copyfile(source, folder / taken.file)
    try:
        PromptTokenizer(source.read_bytes(), given.length, given.pad_id, given.clean)
    # The library raises a bare Exception.
    except Exception as error:
        raise described.wrong(f"{source} is no `tokenizers` JSON ({error})", "inputs", name, "file") from None
    write_cleaning(folder, taken)
    return taken


def _recipe(described: Described) -> Recipe:
    """What of the description a recipe says too, for all that judges a bundle by its recipe."""
    content = described.content
    data: dict[str, Any] = {
        "name": content.name,
        "description": content.description,
        "model": {"family": ADOPTED, "weights": ADOPTED},
        "quantization": {"rules": []},
        "goldens": content.goldens.model_dump(),
        "validation": content.validation.model_dump(),
    }
    samplers = {
        name: sampling.model_dump(include=set(SamplerSection.model_fields))
        for name, sampling in content.samplings.items()
    }
    data |= {"samplers": samplers} if len(samplers) > 1 else {"sampler": next(iter(samplers.values()), None)}
    for asset in content.assets.values():
        if isinstance(asset, MeshAsset):
            data["mesh"] = asset.model_dump(include={"grid", "extraction", "conventions"})
        if isinstance(asset, ImageAsset) and asset.size:
            data["render"] = {"size": asset.size}
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{described.path}: {error}") from None


def _digest(files: Mapping[str, FilePart], stages: Mapping[str, StagePart]) -> str:
    """sha256 over all that decides what the reference makes: every file but the deployed programs."""
    deployed = {file for stage in stages.values() for file in (stage.program, *stage.external_data)}
    lines = [f"{name} {part.sha256}\n" for name, part in sorted(files.items()) if name not in deployed]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _parities(bundle: Bundle, recorded: Mapping[str, list[Path]]) -> list[GoldenParity]:
    """The deployed programs on what the float programs were recorded on."""
    tolerances = Recipe.model_validate(bundle.manifest.recipe).validation.tolerances
    found: list[GoldenParity] = []
    for name, files in recorded.items():
        stage = bundle.manifest.stages[name]
        limit = limit_db(stage.is_whole_sampler, tolerances[stage.precision])
        with naming(name):
            found += check(name, bundle.session(name), files, stage.precision, limit)
    return found
