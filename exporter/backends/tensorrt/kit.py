"""The kit: what a bundle needs beside its programs to become engines on a device that has nothing of ours."""

from __future__ import annotations

import json
import math
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import exporter.runtime.sessions.cuda_runtime
import exporter.runtime.sessions.tensorrt_engine
from exporter.backends.backend import MadeProgram
from exporter.backends.tensorrt.lint.view import View
from exporter.backends.tensorrt.profiles import shapes_of, trtexec_shapes
from exporter.files.atomic import write_atomically
from exporter.manifest import ENGINES
from exporter.runtime.batch import batch_size
from exporter.workshop.goldens import goldens_of
from exporter.workshop.workshop import Workshop

KIT = "kit.json"
SCRIPTS = Path(__file__).parent / "scripts"
PLAIN_SCRIPTS = ("build_engines.py", "verify.py")
BUILD_SCRIPT = "build_engines.sh"
README = "README.md"
SCHEMA_VERSION = 1
# An estimate, which the page calls one: no engine was built on a Jetson for it.
MINUTES_OF_AN_ENGINE = (1, 5)


def write_kit(workshop: Workshop, folder: Path, made: list[MadeProgram]) -> dict[str, Any]:
    """Write kit.json and the scripts that read it into a bundle; what kit.json says."""
    options = workshop.target.tensorrt
    assert options is not None
    kit = {
        "schema_version": SCHEMA_VERSION,
        "target": workshop.target.name,
        "compute_capabilities": options.compute_capabilities,
        "workspace_mb": options.workspace_mb,
        "optimization_level": options.optimization_level,
        "stages": {one.name: _stage(workshop, folder, one) for one in made},
    }
    write_atomically(folder / KIT, (json.dumps(kit, indent=2) + "\n").encode())
    for name in PLAIN_SCRIPTS:
        shutil.copyfile(SCRIPTS / name, folder / name)
    for module in (exporter.runtime.sessions.cuda_runtime, exporter.runtime.sessions.tensorrt_engine):
        source = Path(str(module.__file__))
        shutil.copyfile(source, folder / source.name)
    write_atomically(folder / BUILD_SCRIPT, build_script(kit).encode())
    write_atomically(folder / README, _page(workshop, folder, made).encode())
    return kit


def build_script(kit: Mapping[str, Any]) -> str:
    """build_engines.sh of a kit: one line a stage."""
    lines = [
        " ".join(["build", name, *map(shlex.quote, trtexec_shapes(stage["inputs"]))])
        for name, stage in kit["stages"].items()
    ]
    marks = {
        "@LEVEL@": str(kit["optimization_level"]),
        "@WORKSPACE@": str(kit["workspace_mb"]),
        "@STAGES@": "\n".join(lines),
    }
    return _filled(BUILD_SCRIPT, marks)


def int8_products(program: Path, compute_capability: str) -> list[str]:
    """Names of the products that have to run in INT8: both of their inputs are dequantized."""
    view = View(program, compute_capability)
    return [node.name for node in view.of("MatMul", "Gemm") if len(view.dequantized(node)) == 2]


def _page(workshop: Workshop, folder: Path, made: list[MadeProgram]) -> str:
    """README.md of a kit, with what it takes on the device as far as the kit's own files tell."""
    options = workshop.target.tensorrt
    assert options is not None
    weights = sum(
        (folder / one.name / file).stat().st_size for one in made for file in one.program.files(one.entry.folder)
    )
    everything = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    devices = [need.name for need in workshop.target.needs if need.kind == "device"]
    marks = {
        "@NAME@": f"{workshop.recipe.name}/{workshop.target.name}",
        "@DEVICE@": ", ".join(devices),
        # An engine holds what its program holds.
        "@DISK@": _megabytes(everything + weights),
        "@WEIGHTS@": _megabytes(weights),
        "@WORKSPACE@": f"{options.workspace_mb} MB",
        "@MINUTES@": " to ".join(str(minutes * len(made)) for minutes in MINUTES_OF_AN_ENGINE),
        "@ENGINES@": str(len(made)),
    }
    return _filled(README, marks)


def _megabytes(size: int) -> str:
    return f"{math.ceil(size / 1e6)} MB"


def _filled(template: str, marks: Mapping[str, str]) -> str:
    """A template of the scripts folder with its marks replaced."""
    text = (SCRIPTS / template).read_text(encoding="utf-8")
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text


def _stage(workshop: Workshop, folder: Path, one: MadeProgram) -> dict[str, Any]:
    precision = one.program.precision(one.entry.folder)
    assert workshop.target.tensorrt is not None
    return {
        "program": one.main,
        "engine": f"{ENGINES}/{one.name}.plan",
        "inputs": shapes_of(one.program.inputs(one.entry.folder), batch_size(workshop.pipeline)),
        "outputs": [spec.name for spec in one.program.outputs(one.entry.folder)],
        "int8_products": int8_products(folder / one.main, workshop.target.tensorrt.oldest),
        "goldens": [path.relative_to(folder).as_posix() for path in goldens_of(folder, one.name)],
        "snr_db": workshop.limit_db(one.name, precision),
    }
