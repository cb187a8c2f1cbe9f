"""Does OpenVINO multiply a quantized program in integers? Read from the graph that it executes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from exporter.errors import ValidationFailed
from exporter.graphs.stored_integers import all_nodes, integer_products
from exporter.runtime.sessions.openvino import INTEGER_PRODUCTS, OpenVinoSession

PRODUCTS = ("FullyConnected", "MatMul")
INTEGERS = ("i8", "u8", "i4", "u4")
_DEQUANTIZED = re.compile(r"/Dequantization\w+$")


def require_integers(program: Path, options: dict[str, Any]) -> dict[str, str]:
    """The precision in which each quantized product of a program is executed, by the node's name.

    `options`: the session's. Raises ValidationFailed that names the products that would run in floating point, or whose
    block scales OpenVINO does not read.
    """
    graph = onnx.load(program, load_external_data=False).graph
    wanted = integer_products(graph)
    if not wanted:
        return {}
    _require_whole_blocks(graph)
    executed = executed_products(program, options)
    found = {node.name: next(filter(None, map(executed.get, _names(node, graph))), "") for node in wanted}
    if floats := sorted(name for name, precision in found.items() if precision not in INTEGERS):
        rest = f" and {len(floats) - 6} more" if len(floats) > 6 else ""
        raise ValidationFailed(
            f"OpenVINO leaves {len(floats)} of {len(wanted)} quantized products in floating point: "
            f"{', '.join(floats[:6])}{rest}. They would be slower than unquantized; choose another precision for these "
            "layers"
        )
    return found


def executed_products(program: Path, options: dict[str, Any]) -> dict[str, str]:
    """Node name -> precision of everything that became part of a product in OpenVINO's execution graph.

    As on a processor with VNNI, whatever this one's session does.
    """
    found: dict[str, str] = {}
    options = options | {"config": options.get("config", {}) | INTEGER_PRODUCTS}
    for node in OpenVinoSession(program, options).compiled.get_runtime_model().get_ops():
        told = node.get_rt_info()
        if told["layerType"].astype(str) in PRODUCTS:
            names = told["originalLayersNames"].astype(str).split(",")
            found |= dict.fromkeys((_DEQUANTIZED.sub("", name) for name in names), told["runtimePrecision"].astype(str))
    return found


def _names(node: onnx.NodeProto, graph: onnx.GraphProto) -> Iterator[str]:
    """What a product may be called in the end: itself, or after the scale and the bias that it takes in."""
    constants = {tensor.name for tensor in graph.initializer}
    taken_in = [node for node in all_nodes(graph) if node.op_type in ("Mul", "Add") and constants & set(node.input)]
    readers = [node]
    while len(readers) == 1:
        (last,) = readers
        yield from (last.name, last.output[0])
        readers = [reader for reader in taken_in if last.output[0] in reader.input]


def _require_whole_blocks(graph: onnx.GraphProto) -> None:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in all_nodes(graph):
        said = {attribute.name: attribute.i for attribute in node.attribute}
        block = said.get("block_size", 0)
        if node.op_type == "DequantizeLinear" and block and shapes[node.input[0]][said["axis"]] % block:
            raise ValidationFailed(
                f"{node.name.removesuffix('/DequantizeLinear')}: {shapes[node.input[0]][said['axis']]} rows are no "
                f"multiple of {block}, and OpenVINO reads no block scales then; give this layer a smaller block, or "
                "leave it in fp32"
            )
