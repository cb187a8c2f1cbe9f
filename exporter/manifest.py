"""The bundle's manifest: what is in the folder, what it was made from, and the digests that prove it is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from exporter.errors import BundleError, RecipeError, first_of
from exporter.files.atomic import sha256_of, write_atomically
from exporter.files.in_place import is_contents
from exporter.files.left_behind import is_left_behind
from exporter.pipeline.part import Part
from exporter.pipeline.pipeline import Pipeline, PipelineStage
from exporter.recipe.precision import Precision

MANIFEST = "manifest.json"
REPORTS = "reports"
ENGINES = "engines"
PERF = "perf.yaml"
NUMERICS = "numerics.yaml"
FAILED = "FAILED.txt"
"""Beside a bundle that a build refused to put in place: why it did."""
MEASURED = (PERF, NUMERICS)
SCHEMA_VERSION = 2
ADOPTED = "adopted"
"""The weights' source of a bundle whose programs somebody else exported: its reference is among its files."""


class WeightsFilePart(Part):
    part: str = Field(description="Of the model: its text encoder, its prior")
    name: str = Field(description="In the folder that the part was loaded from")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0, description="Bytes")


class WeightsPart(Part):
    source: str = Field(
        description="As asked for: the small model, a folder, a hub name with its commit, or random; adopted: the "
        "float programs here"
    )
    digest: str = Field(description="sha256 over the names and bytes of all tensors and configurations")
    trained: bool = Field(description="False for random weights: such a bundle says nothing about quality")
    files: list[WeightsFilePart] = Field(
        default_factory=list, description="Every file that they were loaded from; none of random weights"
    )


class FilePart(Part):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0, description="Bytes")


class ProgramPart(Part):
    program: str = Field(description="Path of the program inside the bundle")
    external_data: list[str] = Field(
        default_factory=list, description="Paths of its other files, such as weights kept outside the program"
    )


class StagePart(PipelineStage):
    program: str = Field(description="Path of the program inside the bundle")
    external_data: list[str] = Field(
        default_factory=list, description="Paths of its other files, such as weights kept outside the program"
    )
    float_program: ProgramPart | None = Field(
        default=None, description="What it is compared with, where somebody else exported both"
    )
    precision: Precision = Field(description="The lowest precision of any layer")
    layers: dict[str, Precision] = Field(
        default_factory=dict, description="Precision of every layer that is not fp32, by its name"
    )
    size: int = Field(ge=0, description="Bytes of the program with its external data")

    @model_validator(mode="after")
    def _sampled_as_its_kind_says(self) -> StagePart:
        if (self.kind == "sample") != (self.sampling is not None):
            raise ValueError(f"of kind {self.kind}, and it has {'a' if self.sampling else 'no'} sampling")
        return self


class EnginePart(Part):
    file: str = Field(description="Path of the engine inside the bundle")
    milliseconds: float = Field(description="Median of one run of one object's inputs, as measured when it was built")
    worst_snr_db: float | None = Field(description="Least SNR of any output on any golden; none where it was exact")
    int8_products: int = Field(ge=0, description="Products that the engine runs in INT8")


class EnginesPart(Part):
    """Engines of a device that compiles its programs itself."""

    state: Literal["to be built on the device", "built"]
    run: list[str] = Field(default_factory=list, description="Either of these, on the device in the bundle's folder")
    kit_digest: str | None = Field(default=None, description="The bundle's digest before it had engines")
    device: dict[str, str] = Field(default_factory=dict, description="What they were built on and with")
    stages: dict[str, EnginePart] = Field(default_factory=dict)


class RungVerdict(Part):
    name: str
    passed: bool
    summary: str = Field(description="The deciding figure beside its tolerance")


class Verdict(Part):
    """The outcome of the last `t3export validate`. It is not part of the bundle's digest."""

    passed: bool
    bundle_digest: str
    rungs: list[RungVerdict]
    report: str = Field(default="reports/report.json", description="The full report inside the bundle")
    report_sha256: str | None = Field(default=None, description="Digest of that report, which is not among the files")
    stand_in: str | None = Field(default=None, description="What ran the programs in place of the target's runtime")


class Manifest(Pipeline):
    """Everything a reader needs to know about a bundle before opening any other file."""

    schema_version: Literal[2] = 2
    name: str = Field(description="<recipe>/<target>")
    recipe: dict[str, Any] = Field(description="The resolved recipe")
    recipe_digest: str
    weights: WeightsPart
    target: dict[str, Any] = Field(description="The target as data, session options included")
    toolchain: dict[str, str] = Field(description="Versions of the packages that built the bundle")
    files: dict[str, FilePart] = Field(description="Every file but the manifest and the reports")
    stages: dict[str, StagePart]
    goldens: dict[str, list[str]] = Field(description="Per stage, .npz files of recorded inputs and outputs")
    engines: EnginesPart | None = Field(default=None, description="Where programs are compiled on the device")
    validation: Verdict | None = None

    @property
    def is_adopted(self) -> bool:
        """Whether somebody else exported the programs, so that the reference is among the files."""
        return self.weights.source == ADOPTED

    @property
    def compared_with(self) -> str:
        """The reference, in words."""
        return "the float programs in it" if self.is_adopted else "the PyTorch model that it was made from"

    def used_files(self) -> set[str]:
        """Every file that the manifest itself names as part of something."""
        stages = self.stages.values()
        engines = self.engines.stages.values() if self.engines else ()
        programs: list[StagePart | ProgramPart] = [*stages]
        programs += [stage.float_program for stage in stages if stage.float_program]
        return {
            *(file for one in programs for file in (one.program, *one.external_data)),
            *(file for files in self.goldens.values() for file in files),
            *(engine.file for engine in engines),
            *(source.file for source in self.texts.values()),
            *(source.cleaning_file for source in self.texts.values() if source.cleaning_file),
            *(stage.sampling.table for stage in stages if stage.sampling),
        }


def manifest_schema() -> dict[str, Any]:
    """The published JSON schema of manifest.json."""
    schema = Manifest.model_json_schema(mode="serialization")
    schema["properties"]["checksum"] = {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "sha256 of the canonical JSON (sorted keys, no spaces) of all the other fields",
    }
    schema["required"] = sorted({*schema["required"], "checksum"})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def list_files(folder: Path) -> dict[str, FilePart]:
    """Digest and size of every file below a folder that a build has just written, by sorted relative path: without the
    manifest, the reports and what systems leave behind. Where people have been since, `file_parts` of known names."""
    return file_parts(folder, _contents(folder))


def file_parts(folder: Path, names: Iterable[str]) -> dict[str, FilePart]:
    """Digest and size of these files of a folder."""
    return {name: FilePart(sha256=sha256_of(folder / name), size=(folder / name).stat().st_size) for name in names}


def bundle_digest(manifest: Manifest) -> str:
    """sha256 (hex) of all that a bundle is; neither a verdict nor what was measured on some machine changes it."""
    data = manifest.model_dump(mode="json", exclude={"validation"})
    return _digest(data | {"files": {name: part for name, part in data["files"].items() if name not in MEASURED}})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.json atomically, with its checksum. Raises EnvironmentProblem when the disk is full."""
    write_atomically(folder / MANIFEST, _rendered(manifest.model_dump(mode="json")))


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks manifest.json. Raises BundleError that says what is wrong with which file."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle: {_why_no_bundle(folder)}")
    try:
        content = path.read_bytes()
        data = json.loads(content.decode("utf-8"))
        if not isinstance(data, dict):
            raise TypeError("it is no JSON object")
        data.pop("checksum")
        # The bytes, not the checksum alone: that does not see 1e-05 become 1E-05, nor a field that is there twice.
        whole = content == _rendered(data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{path}: damaged ({type(error).__name__}: {error}); build the bundle again") from None
    if data.get("schema_version") != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema version {data.get('schema_version')!r}; this t3export reads version {SCHEMA_VERSION}. "
            "Build the bundle again, or open it with the t3export that built it"
        )
    if not whole:
        raise BundleError(f"{path}: damaged or edited: its checksum does not fit; build the bundle again")
    try:
        manifest = Manifest.model_validate(data)
        manifest.require_sound()
    except (ValidationError, RecipeError) as error:
        raise BundleError(f"{path}: not a manifest this t3export can read:\n{error}") from None
    return manifest


def record_verdict(folder: Path, verdict: Verdict | None) -> None:
    """Puts the outcome of a validation into the manifest; nothing else changes."""
    write_manifest(folder, read_manifest(folder).model_copy(update={"validation": verdict}))


def verify_files(folder: Path, manifest: Manifest) -> list[str]:
    """One line for each changed or missing file; empty when the bundle is whole.

    What lies beside the listed files is not looked at.
    """
    problems = [f"{name}: used, and not listed" for name in sorted(manifest.used_files() - manifest.files.keys())]
    for name, expected in sorted(manifest.files.items()):
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            problems.append(f"{name}: not in the bundle's folder")
        elif not path.is_file():
            problems.append(f"{name}: a link to nothing" if path.is_symlink() else f"{name}: missing")
        elif path.stat().st_size != expected.size:
            problems.append(f"{name}: {path.stat().st_size} bytes, {expected.size} expected")
        elif sha256_of(path) != expected.sha256:
            problems.append(f"{name}: changed (its sha256 is not the manifest's)")
    return problems


def require_whole(folder: Path) -> Manifest:
    """The manifest of a bundle whose every file is as built. Raises BundleError that names the bad files."""
    manifest = read_manifest(folder)
    require_files(folder, manifest)
    return manifest


def require_files(folder: Path, manifest: Manifest) -> None:
    """Raises BundleError that names the files that are not as this manifest lists them."""
    if problems := verify_files(folder, manifest):
        raise BundleError(
            f"{folder}: damaged bundle\n  " + "\n  ".join(first_of(problems)) + "\nBuild or copy it again"
        )


def require_replaceable(folder: Path) -> None:
    """Raises BundleError when `folder` holds something that is not a bundle and that a build would delete."""
    if folder.is_file() or (folder.is_dir() and _holds_something(folder) and not (folder / MANIFEST).is_file()):
        raise BundleError(
            f"{folder} is there and is not a bundle: a build would replace it. Give a new or an empty folder"
        )


def _holds_something(folder: Path) -> bool:
    """Whether there is more than what a new volume or a file manager has put there."""
    names = {entry.name for entry in folder.iterdir() if is_contents(folder, entry.name)}
    return bool(names - {".DS_Store", "Thumbs.db", "desktop.ini"})


def _why_no_bundle(folder: Path) -> str:
    if not folder.exists():
        return "there is no such folder. `t3export build` makes one"
    if below := sorted(str(path.parent) for path in folder.glob(f"*/{MANIFEST}")):
        return f"it has no {MANIFEST}. There are bundles in it: {', '.join(below)}"
    return f"it has no {MANIFEST}. `t3export build` makes one"


def _contents(folder: Path) -> list[str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    names = [path.relative_to(folder).as_posix() for path in paths]
    own = [name for name in names if name != MANIFEST and not name.startswith(f"{REPORTS}/")]
    return [name for name in own if not is_left_behind(name)]


def _rendered(data: dict[str, Any]) -> bytes:
    """manifest.json of this data, with its checksum."""
    return f"{json.dumps(data | {'checksum': _digest(data)}, indent=2, ensure_ascii=False)}\n".encode()


def _digest(data: dict[str, Any]) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
