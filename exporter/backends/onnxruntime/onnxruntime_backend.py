"""ONNX Runtime runs ONNX as it is: compiling checks that it multiplies in integers what the recipe quantized.

On a processor attention is written as its own operator too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exporter.backends.backend import Addition, MadeProgram
from exporter.backends.onnxruntime.fusion import require_fused
from exporter.graphs.program_files import copy_program, rewrite_program
from exporter.passes.multi_head_attention import to_multi_head_attention
from exporter.quantize.quantizer import LayerReport
from exporter.runtime.sessions.onnxruntime import ON_CPU, OnnxRuntimeSession
from exporter.targets.stand_in import stand_in
from exporter.targets.target import Target
from exporter.workshop.onnx_program import Compile, OnnxProgram, onnx_programs
from exporter.workshop.workshop import Workshop

INTEGER = ("int8", "int8_dynamic", "int8_weights", "int4_weights")


def make_programs(workshop: Workshop) -> list[OnnxProgram]:
    """The programs of a bundle in the order in which they run."""
    on_processor = workshop.target.session.providers in ([], ON_CPU["providers"])
    return make_compiled(workshop, compile_for_processor if on_processor else compile_program)


def make_compiled(workshop: Workshop, compile_program: Compile) -> list[OnnxProgram]:
    """The same programs with another way to compile them."""
    recipe = workshop.recipe
    calibration = workshop.calibration() if recipe.quantization.table.calibrated else None
    return onnx_programs(workshop.model, recipe, workshop.tables, compile_program, calibration)


def open_program(program: Path, target: Target) -> OnnxRuntimeSession:
    """A program with the target's session options, on the CPU provider where that stands in for the target."""
    options = target.session.model_dump()
    return OnnxRuntimeSession(program, options | ON_CPU if stand_in(target) else options)


def complete(workshop: Workshop, folder: Path, made: list[MadeProgram]) -> Addition:
    """ONNX Runtime needs nothing beside the programs; it says where this machine stood in for the target."""
    told = stand_in(workshop.target)
    return Addition(warnings=[told] if told else [])


def compile_program(program: Path, layers: Sequence[LayerReport], folder: Path) -> Path:
    """Copy a program, with its external weights, into `folder`; its path there.

    Raises ValidationFailed for one whose quantized layers ONNX Runtime would multiply in floating point.
    """
    if any(layer.operator == "linear" and layer.precision in INTEGER for layer in layers):
        require_fused(program)
    return copy_program(program, folder)


def compile_for_processor(program: Path, layers: Sequence[LayerReport], folder: Path) -> Path:
    """The same for a bundle on ONNX Runtime's CPU provider, in operators of its own where they are better."""
    compiled = compile_program(program, layers, folder)
    rewrite_program(compiled, to_multi_head_attention)
    return compiled
