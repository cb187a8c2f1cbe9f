"""A pure module -> ONNX file, by torch.export. The same stage gives the same bytes."""

from __future__ import annotations

import ast
import io
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch

from exporter.errors import ValidationFailed
from exporter.graphs.program_files import EXTERNAL_ABOVE_BYTES, EXTERNAL_DATA, PROGRAM, SMALL_TENSOR_BYTES
from exporter.machine.quiet import quiet
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec

_EXAMPLE_SIZES = {"batch": 2}
_EXAMPLE_SIZE = 5
# Their remarks about their own internals are no news to someone who builds a bundle.
_TALKATIVE = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
_SCOPES = "pkg.torch.onnx.name_scopes"


def trace(stage: PureModule, opset: int, folder: Path) -> Path:
    """Write `program.onnx` (and, above 100 MB, `program.onnx.data`) of a stage into `folder`; the program's path.

    Weights keep the names of the module's parameters, nodes are named by the module they come from, and nothing of the
    machine or the checkout is left in the file.
    """
    model = to_ir(stage, opset)
    folder.mkdir(parents=True, exist_ok=True)
    return save(model, folder)


def to_ir(stage: PureModule, opset: int) -> ir.Model:
    """The stage as an ONNX model in memory, whose weights are the module's own tensors.

    Raises ValidationFailed for a module that fixes a size which its specs leave open.
    """
    dynamic = {name: torch.export.Dim(name) for spec in stage.inputs for name in spec.shape if isinstance(name, str)}
    shapes = [{i: dynamic[d] for i, d in enumerate(spec.shape) if isinstance(d, str)} for spec in stage.inputs]
    # Of several ways to trace a module, one that does not serve prints its whole graph before the next is tried.
    with quiet(*_TALKATIVE), redirect_stderr(io.StringIO()):
        program = torch.onnx.export(
            stage.module,
            tuple(_example(spec) for spec in stage.inputs),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=[spec.name for spec in stage.inputs],
            output_names=[spec.name for spec in stage.outputs],
            dynamic_shapes=stage.grouped(shapes),
            optimize=True,
        )
    assert program is not None
    model = program.model
    _require_open_sizes(model.graph, stage)
    parameters = {name for name, _ in (*stage.module.named_parameters(), *stage.module.named_buffers())}
    _name_by_module(model.graph, stage, parameters)
    _strip(model, stage.name)
    return model


def save(model: ir.Model, folder: Path) -> Path:
    """Write a model into a folder, its weights beside it where they are large; the program's path."""
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    external = EXTERNAL_DATA if size > EXTERNAL_ABOVE_BYTES else None
    ir.save(model, folder / PROGRAM, external_data=external, size_threshold_bytes=SMALL_TENSOR_BYTES)
    return folder / PROGRAM


def _example(spec: TensorSpec) -> torch.Tensor:
    """A tensor of the spec's shape; dynamic dimensions get sizes of which none is 1, which export would specialise."""
    shape = [_EXAMPLE_SIZES.get(d, _EXAMPLE_SIZE) if isinstance(d, str) else d for d in spec.shape]
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        return torch.zeros(shape, dtype=torch.int64)
    return torch.linspace(-1, 1, max(int(np.prod(shape)), 1)).reshape(shape)


def _require_open_sizes(graph: ir.Graph, stage: PureModule) -> None:
    """The exporter says nothing where it falls back to a program for the example's sizes alone."""
    for value, spec in zip(graph.inputs, stage.inputs, strict=True):
        for word, size in zip(spec.shape, value.shape or (), strict=False):
            if isinstance(word, str) and isinstance(size, int):
                raise ValidationFailed(
                    f"stage '{stage.name}': its program takes '{spec.name}' with {size} {word} only: the module makes "
                    "a number of that size, as len(tensor) and int(…) do; tensor.shape[0] and -1 leave it open"
                )


def _name_by_module(graph: ir.Graph, stage: PureModule, parameters: set[str]) -> None:
    """Names such as `denoiser/prior.transformer_blocks.0.attn1.to_q/MatMul`, counted where a module has several.

    A weight that the exporter transposed is called by its parameter's name again; other constants by their first user.
    """
    taken: dict[str, int] = {}

    def unique(base: str) -> str:
        taken[base] = taken.get(base, 0) + 1
        return base if taken[base] == 1 else f"{base}_{taken[base]}"

    for node in graph:
        scope = _scope(node).removeprefix(f"{stage.root}.")
        node.name = unique("/".join([stage.name, *([scope] if scope else []), node.op_type]))
        for i, output in enumerate(node.outputs):
            if not output.is_graph_output() and output.name:
                output.name = f"{node.name}:{i}"
    constants = [value for name, value in graph.initializers.items() if name not in parameters]
    order = {node.name: i for i, node in enumerate(graph)}
    for value in constants:
        first = min((node for node, _ in value.uses()), key=lambda node: order.get(node.name, len(order)), default=None)
        weight = f"{_scope(first)}.weight" if first is not None else ""
        is_weight = first is not None and first.op_type in ("MatMul", "Gemm") and weight in parameters
        free = is_weight and weight not in graph.initializers
        value.name = weight if free else unique(f"{first.name if first is not None else stage.name}:constant")


def _scope(node: ir.Node) -> str:
    """The dotted name of the innermost module that a node comes from."""
    scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    named = [scope for scope in scopes[:-1] if scope and not scope.startswith("_")]
    return named[-1] if named else ""


def _strip(model: ir.Model, stage: str) -> None:
    """Remove what names this machine: stack traces, doc strings, metadata."""
    model.metadata_props.clear()
    model.doc_string = None
    model.graph.name = stage
    model.graph.metadata_props.clear()
    model.graph.doc_string = None
    values = [*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()]
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        values.extend(node.outputs)
    for value in values:
        value.metadata_props.clear()
        value.doc_string = None
