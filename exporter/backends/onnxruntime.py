"""ONNX Runtime runs ONNX as it is: compiling is holding a program to the standard and to what was promised of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from exporter.backends.base import Addition, Made
from exporter.backends.onnxruntime_fusion import require_fused
from exporter.errors import ValidationFailed
from exporter.program_files import link_program
from exporter.programs import OnnxProgram, onnx_programs
from exporter.quantize.quantizer import LayerReport
from exporter.runtime.onnxruntime import OnnxRuntimeSession
from exporter.target import Target
from exporter.workshop import Workshop

INTEGER = ("int8", "int8_dynamic", "int8_weights", "int4_weights")


def make_programs(workshop: Workshop) -> list[OnnxProgram]:
    """The programs of a bundle in the order in which they run."""
    recipe = workshop.recipe
    calibration = workshop.calibration() if recipe.quantization.table.calibrated else None
    return onnx_programs(workshop.model, recipe, workshop.table, compile_program, calibration)


def open_program(program: Path, target: Target) -> OnnxRuntimeSession:
    """A program with the target's session options."""
    return OnnxRuntimeSession(program, target.session.model_dump())


def complete(workshop: Workshop, folder: Path, made: list[Made]) -> Addition:
    """ONNX Runtime needs nothing beside the programs."""
    return Addition()


def compile_program(program: Path, layers: Sequence[LayerReport], folder: Path) -> Path:
    """Check a program and link it, with its external weights, into `folder`; its path there.

    Raises ValidationFailed for a program that breaks the ONNX standard, or whose quantized layers ONNX Runtime would
    multiply in floating point.
    """
    try:
        onnx.checker.check_model(program)
    except onnx.checker.ValidationError as error:
        raise ValidationFailed(f"{program}: not valid ONNX: {error}") from error
    if any(layer.operator == "linear" and layer.precision in INTEGER for layer in layers):
        require_fused(program)
    return link_program(program, folder)
