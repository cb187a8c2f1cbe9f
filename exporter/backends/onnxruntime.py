"""ONNX Runtime runs ONNX as it is: compiling is holding a program to the standard and to what was promised of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from exporter.backends.onnxruntime_fusion import require_fused
from exporter.errors import ValidationFailed
from exporter.program_files import link_program
from exporter.quantize.quantizer import LayerReport

INTEGER = ("int8", "int8_dynamic", "int8_weights", "int4_weights")


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
