"""A bundle whose programs are a peer's, so that it is measured like any other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from exporter.files.swap import replacing
from exporter.manifest import Manifest, StagePart, list_files, read_manifest, write_manifest
from exporter.recipe.policy import Precision
from validate.peers.files import copy_program, files_of


def with_programs(bundle: Path, programs: Mapping[str, Path], name: str, precision: Precision, out: Path) -> Manifest:
    """Write a copy of a bundle into `out` that has other programs for some of its stages; its manifest.

    `name` replaces the bundle's, and `precision` says what these stages have now.
    """
    manifest = read_manifest(bundle)
    stages = dict(manifest.stages)
    with replacing(out) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
        for stage, program in programs.items():
            stages[stage] = _replace(folder, stage, stages[stage], program, precision)
        changed = {"name": name, "files": list_files(folder), "stages": stages, "validation": None}
        manifest = manifest.model_copy(update=changed)
        write_manifest(folder, manifest)
    return manifest


def _replace(folder: Path, stage: str, part: StagePart, program: Path, precision: Precision) -> StagePart:
    for file in (part.program, *part.external_data):
        (folder / file).unlink()
    copied = files_of(copy_program(program, folder / stage))
    main, *external = [file.relative_to(folder).as_posix() for file in copied]
    size = sum(file.stat().st_size for file in copied)
    changed = {"program": main, "external_data": external, "size": size, "precision": precision}
    return part.model_copy(update=changed)
