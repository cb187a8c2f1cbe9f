"""OpenVINO reads ONNX as it is: compiling checks that it multiplies in integers what the recipe quantized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx
import onnx_graphsurgeon as gs

from exporter.backends.backend import Addition, MadeProgram
from exporter.backends.onnxruntime import onnxruntime_backend as onnxruntime
from exporter.backends.openvino.execution import require_integers
from exporter.graphs.program_files import copy_program, rewrite_program
from exporter.passes.cast_before_gather import cast_before_gather
from exporter.quantize.layers import find_layers
from exporter.quantize.quantizer import LayerReport, write_report
from exporter.runtime.sessions.openvino import OpenVinoSession
from exporter.targets.target import Target
from exporter.workshop.onnx_program import OnnxProgram
from exporter.workshop.workshop import Workshop


def make_programs(workshop: Workshop) -> list[OnnxProgram]:
    """The programs of a bundle in the order in which they run."""
    return onnxruntime.make_compiled(workshop, partial(compile_program, workshop.target))


def open_program(program: Path, target: Target) -> OpenVinoSession:
    """A program with the target's session options."""
    return OpenVinoSession(program, target.session.model_dump())


def complete(workshop: Workshop, folder: Path, made: list[MadeProgram]) -> Addition:
    """OpenVINO needs nothing beside the programs; it says where this machine stood in for the target."""
    return onnxruntime.complete(workshop, folder, made)


def compile_program(target: Target, program: Path, layers: Sequence[LayerReport], folder: Path) -> Path:
    """Copy a program, with its external weights, into `folder`, and its tables so that OpenVINO leaves them in half
    precision; its path there.

    Raises ValidationFailed for one whose quantized layers OpenVINO would multiply in floating point.
    """
    require_integers(program, target.session.model_dump())
    folder.mkdir(parents=True, exist_ok=True)
    if target.unquantized == "bf16":
        write_report(folder, _in_bf16(layers or _layers(program)))
    compiled = copy_program(program, folder)
    rewrite_program(compiled, cast_before_gather)
    return compiled


def _layers(program: Path) -> list[LayerReport]:
    """The layers of a program in which nothing is quantized."""
    graph = gs.import_onnx(onnx.load(program, load_external_data=False))
    return [LayerReport(layer.name, layer.operator, "fp32") for layer in find_layers(graph)]


def _in_bf16(layers: Sequence[LayerReport]) -> list[LayerReport]:
    """Tables are looked up as they are stored; whatever else is not quantized is computed in bfloat16."""
    stays = ("table",)
    return [
        replace(layer, precision="bf16") if layer.precision == "fp32" and layer.operator not in stays else layer
        for layer in layers
    ]
