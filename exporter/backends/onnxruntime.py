"""ONNX Runtime runs ONNX as it is: compiling is holding a program to the standard and putting it in its place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from exporter.errors import ValidationFailed
from exporter.sampling.step_graph import external_files, link_or_copy

INTEGER_OPERATORS = ("MatMulInteger", "DynamicQuantizeMatMul")


def compile_program(program: Path, precision: str, folder: Path) -> Path:
    """Check a program and link it, with its external weights, into `folder`; its path there.

    Raises ValidationFailed for a program that breaks the ONNX standard, or that is called int8 and has no integer
    matrix product.
    """
    model = onnx.load(program, load_external_data=False)
    try:
        onnx.checker.check_model(program)
    except onnx.checker.ValidationError as error:
        raise ValidationFailed(f"{program}: not valid ONNX: {error}") from error
    kinds = Counter(node.op_type for node in _all_nodes(model.graph))
    if precision == "int8" and not any(kinds[kind] for kind in INTEGER_OPERATORS):
        raise ValidationFailed(f"{program}: called int8, but no matrix product in it is; quantize other stages")
    for name in (program.name, *external_files(model)):
        link_or_copy(program.parent / name, folder / name)
    return folder / program.name


def _all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return [*graph.node, *(node for subgraph in inner for node in _all_nodes(subgraph))]
