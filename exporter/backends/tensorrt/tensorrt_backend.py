"""TensorRT: programs checked against its rules here, engines built where the GPU is, else a kit for the device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exporter.backends.backend import Addition, MadeProgram
from exporter.backends.tensorrt.device import gpu_is_one_of
from exporter.backends.tensorrt.finish import (
    ON_THE_DEVICE,
    build_and_verify,
    device_figures,
    engines_part,
    find_builder,
)
from exporter.backends.tensorrt.kit import write_kit
from exporter.backends.tensorrt.lint.require_clean import require_clean
from exporter.backends.tensorrt.memory import memory_warnings
from exporter.graphs.program_files import copy_program
from exporter.machine.meter import metered
from exporter.manifest import ENGINES, EnginesPart
from exporter.quantize.quantizer import LayerReport
from exporter.runtime.sessions.onnxruntime import OnnxRuntimeSession
from exporter.runtime.sessions.session import Session
from exporter.runtime.sessions.tensorrt import TensorRtSession
from exporter.targets.target import Target
from exporter.workshop.onnx_program import OnnxProgram, onnx_programs
from exporter.workshop.workshop import Workshop


def make_programs(workshop: Workshop) -> list[OnnxProgram]:
    """The programs of a bundle in the order in which they run."""
    recipe = workshop.recipe
    calibration = workshop.calibration() if recipe.quantization.table.calibrated else None
    return onnx_programs(workshop.model, recipe, workshop.tables, compile_program, calibration)


def open_program(program: Path, target: Target) -> Session:
    """The engine of a bundle's program, where it was built; else ONNX Runtime on the very graph of the kit."""
    engine = program.parents[1] / ENGINES / f"{program.parent.name}.plan"
    return TensorRtSession(engine) if engine.exists() else OnnxRuntimeSession(program, {})


def complete(workshop: Workshop, folder: Path, made: list[MadeProgram]) -> Addition:
    """Hold the programs to TensorRT's rules, add the kit and, where a GPU of the target is, build the engines.

    Raises ValidationFailed for a program that TensorRT would not take or an engine that misses its goldens, RecipeError
    for a model that the device's memory cannot hold.
    """
    options = workshop.target.tensorrt
    assert options is not None
    findings = [f for one in made for f in require_clean(folder / one.main, options.oldest, one.name)]
    warnings = [str(finding) for finding in findings] + memory_warnings(folder, made, workshop.target)
    kit = write_kit(workshop, folder, made)
    if not gpu_is_one_of(options.compute_capabilities):
        return Addition(EnginesPart(state="to be built on the device", run=ON_THE_DEVICE), warnings)
    with metered("build engines", workshop.progress, workshop.steps):
        report = build_and_verify(folder, find_builder())
    return Addition(engines_part(folder, kit, report), warnings, device_figures(report))


def compile_program(program: Path, layers: Sequence[LayerReport], folder: Path) -> Path:
    """Copy a program, with its external weights, into `folder`; its path there. Engines are made of it elsewhere."""
    return copy_program(program, folder)
