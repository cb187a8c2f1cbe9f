"""A program and a policy to a quantized program, and what has to be observed before that can be done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx_graphsurgeon as gs

from exporter.graphs.graph_file import save_graph
from exporter.graphs.rewrites import note_rewrite
from exporter.quantize.centre_input import centre_input
from exporter.quantize.dynamic import DynamicWriter
from exporter.quantize.grid import IntegerGrid
from exporter.quantize.integer_product import IntegerQdqWriter
from exporter.quantize.join_siblings import join_siblings
from exporter.quantize.layers import Layer, find_layers
from exporter.quantize.observers import find_grid
from exporter.quantize.prepared import prepared_and_counted
from exporter.quantize.qdq import QdqWriter, ZeroPointQdqWriter
from exporter.quantize.rounding import dequantize, per_channel
from exporter.quantize.statistics import Statistics
from exporter.quantize.weight_only import replace_weight
from exporter.recipe.policy import PRECISIONS_LOWEST_FIRST, Operator, Policy, Precision, Rendering, Rule
from exporter.recipe.quantization_section import CalibrationSection

REPORT = "quantization.json"
QDQ_WRITERS: dict[Rendering, type[QdqWriter]] = {
    "fp32": IntegerQdqWriter,
    "qdq": ZeroPointQdqWriter,
    "fp16": QdqWriter,
}


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer."""

    name: str
    operator: Operator
    precision: Precision


@dataclass(frozen=True)
class Observer:
    """How ranges are found: an observer of `observers.threshold`, the percentile for the one that needs it, and whether
    tensors that hardly go below zero may have a one-sided grid."""

    name: str
    percentile: float
    one_sided: bool = False

    @classmethod
    def of(cls, settings: CalibrationSection) -> Observer:
        return cls(settings.observer, settings.percentile, settings.grid == "one_sided")


@dataclass(frozen=True)
class WantedStatistics:
    """Activation tensors whose statistics a policy needs, and those of them whose Gram matrix it needs."""

    tensors: list[str]
    grams: set[str]


def choices(graph: gs.Graph, policy: Policy) -> list[tuple[Layer, Rule]]:
    """The layers that a policy changes, with the rule that decides over each."""
    found = [(layer, policy.choose(layer.name, layer.operator)) for layer in find_layers(graph)]
    return [(layer, rule) for layer, rule in found if rule is not None]


def precision_of(layer: Layer, policy: Policy) -> Precision:
    """The precision that a policy gives a layer."""
    rule = policy.choose(layer.name, layer.operator)
    return rule.precision if rule else "fp32"


def wanted(graph: gs.Graph, policy: Policy) -> WantedStatistics:
    """What has to be observed of a prepared graph before a policy can be applied to it."""
    nodes = {node.name: node for node in graph.nodes}
    tensors: dict[str, None] = {}
    grams: set[str] = set()
    for layer, rule in choices(graph, policy):
        if rule.precision == "int8":
            values = [layer.input] if layer.weight else [value.name for _, value in _activations(nodes[layer.node])]
            tensors |= dict.fromkeys(values)
        if rule.rounding == "gptq":
            tensors[layer.input] = None
            grams.add(layer.input)
    return WantedStatistics(list(tensors), grams)


def quantize(
    program: Path,
    policy: Policy,
    statistics: Mapping[str, Statistics],
    observer: Observer,
    folder: Path,
    rendering: Rendering = "fp32",
) -> list[LayerReport]:
    """Write the quantized program and `quantization.json` into `folder`; what became of each layer."""
    graph, rewritten = prepared_and_counted(program)
    reports = [LayerReport(layer.name, layer.operator, precision_of(layer, policy)) for layer in find_layers(graph)]
    layers = _joined(graph, choices(graph, policy))
    writer = _LayerWriter(graph, statistics, observer, QDQ_WRITERS[rendering](graph))
    for layer, rule in layers:
        writer.write(layer, rule)
    save_graph(graph, folder)
    note_rewrite(folder, "gemm_to_matmul", rewritten)
    write_report(folder, reports)
    return reports


def write_report(folder: Path, reports: list[LayerReport]) -> None:
    (folder / REPORT).write_text(json.dumps([asdict(report) for report in reports]), encoding="utf-8")


def read_report(folder: Path) -> list[LayerReport]:
    """What became of the layers of a program; nothing where no rule matches its stage."""
    path = folder / REPORT
    return [LayerReport(**entry) for entry in json.loads(path.read_text())] if path.exists() else []


def lowest_precision(reports: list[LayerReport]) -> Precision:
    """The lowest precision of any layer; fp32 without any."""
    return min((report.precision for report in reports), key=PRECISIONS_LOWEST_FIRST.index, default="fp32")


def _activations(node: gs.Node) -> list[tuple[int, gs.Variable]]:
    """Inputs of a node that are computed real numbers, with their places."""
    values = [(i, value) for i, value in enumerate(node.inputs) if isinstance(value, gs.Variable)]
    return [(i, value) for i, value in values if value.name and value.dtype in (None, np.dtype(np.float32))]


def _joined(graph: gs.Graph, chosen: list[tuple[Layer, Rule]]) -> list[tuple[Layer, Rule]]:
    """The same layers, where those in static INT8 of one input are one layer."""
    siblings: dict[tuple[str, str], list[tuple[Layer, Rule]]] = {}
    for layer, rule in chosen:
        together = layer.weight and len(layer.shape) == 2 and rule.precision == "int8"
        key = (layer.input, rule.rounding) if together else (layer.name, layer.node or str(layer.weight))
        siblings.setdefault(key, []).append((layer, rule))
    nodes = {node.name: node for node in graph.nodes}
    joined = []
    for group in siblings.values():
        layer, rule = group[0]
        if len(group) > 1:
            node = join_siblings(graph, [nodes[member.node] for member, _ in group])
            weight = node.inputs[1]
            layer = replace(layer, node=node.name, weight=weight.name, shape=tuple(weight.shape))
        joined.append((layer, rule))
    return joined


class _LayerWriter:
    """Changes one layer after the other in a graph."""

    def __init__(
        self, graph: gs.Graph, statistics: Mapping[str, Statistics], observer: Observer, qdq: QdqWriter
    ) -> None:
        self.graph = graph
        self.statistics = statistics
        self.observer = observer
        self.nodes = {node.name: node for node in graph.nodes}
        self.qdq = qdq
        self.dynamic = DynamicWriter(graph)

    def write(self, layer: Layer, rule: Rule) -> None:
        if rule.precision == "int8" and layer.weight is None:
            node = self.nodes[layer.node]
            for index, value in _activations(node):
                self.qdq.activation(node, index, self._grid(value.name, self.qdq.takes_zero_points))
        elif rule.precision in ("int8", "int8_dynamic"):
            node = self.nodes[layer.node]
            integers, scales = per_channel(node.inputs[1].values, self._gram(layer, rule))
            if rule.precision == "int8":
                self._static(node, layer, integers, scales)
            else:
                self.dynamic.linear(node, integers, scales)
        else:
            replace_weight(self.graph, layer, rule, self._gram(layer, rule))

    def _static(self, node: gs.Node, layer: Layer, integers: np.ndarray, scales: np.ndarray) -> None:
        may_centre = len(layer.shape) == 2
        grid = self._grid(layer.input, self.qdq.takes_zero_points or may_centre)
        if grid.is_one_sided and not self.qdq.takes_zero_points:
            centre_input(self.graph, node, grid.middle, dequantize(integers, scales))
            grid = IntegerGrid.around_zero(grid.high - grid.middle)
        self.qdq.linear(node, grid, integers, scales)

    def _grid(self, tensor: str, may_be_one_sided: bool) -> IntegerGrid:
        known, observer = self.statistics[tensor], self.observer
        return find_grid(known, observer.name, observer.percentile, observer.one_sided and may_be_one_sided)

    def _gram(self, layer: Layer, rule: Rule) -> np.ndarray | None:
        if rule.rounding != "gptq":
            return None
        known = self.statistics[layer.input]
        return known.gram if known.guided_gram is None else known.guided_gram
