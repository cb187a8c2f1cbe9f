"""A program with its external weights, copied: peers write beside what they are given."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx

from exporter.graphs.program_files import external_files


def files_of(program: Path) -> list[Path]:
    """The program and the files that hold its large weights."""
    model = onnx.load(program, load_external_data=False)
    return [program, *(program.parent / name for name in external_files(model))]


def copy_program(program: Path, folder: Path) -> Path:
    """The program under its own name in another folder; its path there."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files_of(program):
        shutil.copyfile(file, folder / file.name)
    return folder / program.name
