"""A kit finished on its device: engines built, proved on the goldens, timed, and written into the manifest.

The scripts of the kit do the work, so that `t3export finish` and an engineer without t3export do the same thing.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.backends.tensorrt.device import can_import, find_python, find_trtexec
from exporter.errors import BundleError, EnvironmentProblem, T3Error, ValidationFailed
from exporter.manifest import (
    ENGINES,
    REPORTS,
    EnginePart,
    EnginesPart,
    Manifest,
    bundle_digest,
    file_parts,
    read_manifest,
    require_files,
    write_manifest,
)
from exporter.workshop.measured import Measured, add_measured

ON_THE_DEVICE = ["t3export finish .", "bash build_engines.sh && python3 verify.py"]
TIMING_CACHE = f"{ENGINES}/timing.cache"
DEVICE_REPORT = f"{REPORTS}/device.json"
NO_BUILDER = (
    "neither trtexec nor Polygraphy was found to build engines with. On a Jetson: `sudo apt install nvidia-jetpack`; "
    "elsewhere `pip install polygraphy` for {}, or set TRTEXEC=/path/to/trtexec"
)
OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Builder:
    """`python`: has TensorRT and numpy. `command`: builds the engines of the stages that follow it."""

    python: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Finished:
    """The manifest with its engines, and which of them were built just now."""

    manifest: Manifest
    built: list[str]


def find_builder(python: Path | None = None) -> Builder:
    """trtexec where it is, else Polygraphy. Raises EnvironmentProblem where something is missing."""
    found = find_python(python)
    if find_trtexec():
        return Builder(found, ("bash", "build_engines.sh"))
    if can_import(found, "polygraphy"):
        return Builder(found, (found, "build_engines.py"))
    raise EnvironmentProblem(NO_BUILDER.format(found))


def finish(folder: Path, python: Path | None = None, rebuild: bool = False, on_line: OnLine = print) -> Finished:
    """Build what is missing of a bundle's engines (or all), prove them, and record them in the manifest.

    Raises BundleError for a damaged bundle or one without engines, EnvironmentProblem where TensorRT or the GPU is
    missing, ValidationFailed when an engine misses a tolerance: then the manifest is left as it was.
    """
    manifest = read_manifest(folder)
    if manifest.engines is None:
        raise BundleError(f"{folder}: nothing to finish: target '{manifest.target['name']}' needs no engines")
    # Engines of before may have been built again by hand: whatever they are now is proved below.
    of_kit = {name: part for name, part in manifest.files.items() if not name.startswith(f"{ENGINES}/")}
    require_files(folder, manifest.model_copy(update={"files": of_kit, "engines": None}))
    kit = json.loads((folder / "kit.json").read_text(encoding="utf-8"))
    missing = [name for name, stage in kit["stages"].items() if rebuild or not (folder / stage["engine"]).exists()]
    report = build_and_verify(folder, find_builder(python), missing, on_line)
    engines = engines_part(folder, kit, report, manifest.engines.kit_digest or bundle_digest(manifest))
    built = [part.file for part in engines.stages.values()]
    files = of_kit | file_parts(folder, [*built, *(name for name in [TIMING_CACHE] if (folder / name).exists())])
    update = {"engines": engines, "files": dict(sorted(files.items())), "validation": None}
    finished = manifest.model_copy(update=update)
    write_manifest(folder, finished)
    return Finished(add_measured(folder, finished, device_figures(report)), missing)


def build_and_verify(
    folder: Path, builder: Builder, stages: Sequence[str] | None = None, on_line: OnLine | None = None
) -> dict[str, Any]:
    """Run the kit's scripts: build the engines of these stages (all by default), verify all; verify.py's report."""
    if stages is None or stages:
        _run([*builder.command, *(stages or [])], folder, on_line)
    _run([builder.python, "verify.py"], folder, on_line)
    found: dict[str, Any] = json.loads((folder / DEVICE_REPORT).read_text(encoding="utf-8"))
    return found


def engines_part(
    folder: Path, kit: Mapping[str, Any], report: Mapping[str, Any], kit_digest: str | None = None
) -> EnginesPart:
    """What the manifest says of engines that verify.py has passed."""
    stages = {}
    for name, stage in kit["stages"].items():
        found = report["stages"][name]
        worst = found["worst"]["snr_db"]
        stages[name] = EnginePart(
            file=stage["engine"],
            milliseconds=found["milliseconds"]["median"],
            worst_snr_db=worst if isinstance(worst, float) else None,
            int8_products=found["int8"]["int8"],
        )
    return EnginesPart(state="built", kit_digest=kit_digest, device=report["device"], stages=stages)


def device_figures(report: Mapping[str, Any]) -> Measured:
    """What verify.py found, for perf.yaml and numerics.yaml."""
    costs, parities = {}, {}
    for name, found in report["stages"].items():
        times = found["milliseconds"]
        costs[name] = {
            "milliseconds": times["median"],
            "least": times["least"],
            "most": times["most"],
            "engine_bytes": found["bytes"],
            "device_memory_bytes": found["device_memory_bytes"],
            "quantized_products": found["int8"],
        }
        worst: dict[str, Any] = {}
        for figure in sorted(found["figures"], key=lambda figure: float(figure["snr_db"])):
            worst.setdefault(figure["tensor"], {"snr_db": figure["snr_db"], "golden": figure["golden"]})
        parities[name] = {"wanted_snr_db": found["limit_db"], "passed": found["passed"], "outputs": worst}
    return Measured(dict(report["device"]), costs, parities)


def _run(command: Sequence[str], folder: Path, on_line: OnLine | None) -> None:
    """Run a script of the kit, its lines told as they come. Raises what its exit code stands for."""
    lines: list[str] = []
    # A build lists what is in its new folder afterwards, and compiled modules are no part of a bundle.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    # Kits of former versions import the modules that lie beside their scripts.
    environment.pop("PYTHONSAFEPATH", None)
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if on_line:
                on_line(lines[-1])
    if process.returncode == 0:
        return
    told = "\n  ".join([f"`{' '.join(command)}` in {folder} failed ({process.returncode}):", *lines[-12:]])
    kinds: dict[int, type[T3Error]] = {5: ValidationFailed, 6: EnvironmentProblem}
    raise kinds.get(process.returncode, T3Error)(told)
