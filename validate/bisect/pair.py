"""A program of a bundle beside its float program, tensor by tensor through the names of both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from exporter.adopt.float_bundle import float_manifest
from exporter.errors import BundleError
from exporter.files.cache import Cache
from exporter.graphs.bias import bias_of
from exporter.graphs.graph_file import read_graph
from exporter.machine.meter import Progress
from exporter.manifest import Manifest, require_whole
from exporter.quantize.layers import find_layers
from exporter.quantize.prepared import prepared
from exporter.quantize.smooth import groups
from validate.bisect.graphs import Arrays, computed, output_names


@dataclass
class ProgramPair:
    """Both programs of a stage. `shared`: tensors that both compute and that mean the same in both, in the bundle's
    order; `layers`: the tensor that each layer of the float program gives, in the order in which they run."""

    stage: str
    bundle: onnx.ModelProto
    original: onnx.ModelProto
    shared: list[str]
    layers: dict[str, str]

    @property
    def outputs(self) -> list[str]:
        """The stage's outputs."""
        return output_names(self.bundle)


class FloatPrograms(Protocol):
    """Where the float programs of a bundle come from."""

    def program(self, stage: str) -> tuple[Path, bool]:
        """The float program of a stage, and whether the bundle's is quantized."""


class CarriedPrograms:
    """Those that travel in a bundle whose programs somebody else exported."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.deployed = folder, manifest.stages
        self.stages = float_manifest(folder, manifest).stages

    def program(self, stage: str) -> tuple[Path, bool]:
        """The float program of a stage, and whether the bundle's is quantized."""
        return self.folder / self.stages[stage].program, self.deployed[stage].precision != "fp32"


class Originals:
    """The float programs that a bundle's are compared with, tensor by tensor."""

    def __init__(self, folder: Path, manifest: Manifest, programs: FloatPrograms) -> None:
        self.folder = folder
        self.manifest = manifest
        self._programs = programs

    @classmethod
    def open(cls, folder: Path, cache: Cache, progress: Progress, weights: str | None = None) -> Originals:
        """Raises BundleError for a damaged bundle or programs that are not ONNX, WeightsError for other weights."""
        manifest = require_whole(folder)
        foreign = [stage.program for stage in manifest.stages.values() if not stage.program.endswith(".onnx")]
        if foreign:
            raise BundleError(
                f"{folder}: {foreign[0]} is no ONNX program, and only those can be compared tensor by tensor. Build "
                "the same recipe with --target cpu and look for the fault there"
            )
        if manifest.is_adopted:
            return cls(folder, manifest, CarriedPrograms(folder, manifest))
        from validate.bisect.rebuilt import RebuiltPrograms

        return cls(folder, manifest, RebuiltPrograms.open(folder, manifest, cache, progress, weights))

    def pair(self, stage: str) -> ProgramPair:
        """Both programs of a stage. Raises BundleError where the recipe makes no such program."""
        program, quantized = self._programs.program(stage)
        graph = prepared(program) if quantized else read_graph(program)
        layers = {layer.name: _output(graph, layer.node) for layer in find_layers(graph) if layer.node}
        apart = _changed(graph) if quantized else set()
        original = gs.export_onnx(graph.toposort(), do_type_check=False)
        original.ir_version = graph.ir_version
        bundle = onnx.load(self.folder / self.manifest.stages[stage].program)
        both = set(computed(original)) - apart
        shared = [name for name in computed(bundle) if name in both]
        return ProgramPair(stage, bundle, original, shared, {name: t for name, t in layers.items() if t in shared})


def comparable(pair: ProgramPair, ours: Arrays, theirs: Arrays) -> list[str]:
    """The shared tensors whose values have one shape and kind on both sides."""
    return [name for name in pair.shared if _alike(ours[name], theirs[name])]


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    real = [np.issubdtype(value.dtype, np.floating) for value in (a, b)]
    return a.shape == b.shape and (all(real) or a.dtype == b.dtype)


def _output(graph: gs.Graph, node_name: str) -> str:
    """What a layer gives: its product with the bias, where it has one."""
    node = next(node for node in graph.nodes if node.name == node_name)
    add = bias_of(node) if node.op == "MatMul" else None
    return str((add or node).outputs[0].name)


def _changed(graph: gs.Graph) -> set[str]:
    """Tensors that quantizing may give another meaning under the same name.

    Products before their bias, into which a shift of the input goes, and what lies between the two places into which
    smoothing folds its factors.
    """
    changed = {node.outputs[0].name for node in graph.nodes if node.op == "MatMul" and bias_of(node)}
    nodes = {node.name: node for node in graph.nodes}
    for group in groups(graph, find_layers(graph)):
        changed |= set(_after(graph, nodes[group.source])) & _before(graph, group.input)
    return changed


def _after(graph: gs.Graph, source: gs.Node) -> Iterator[str]:
    seen = {value.name for value in source.outputs}
    for node in graph.nodes:
        if any(value.name in seen for value in node.inputs):
            seen |= {value.name for value in node.outputs}
    yield from seen


def _before(graph: gs.Graph, tensor: str) -> set[str]:
    readers: defaultdict[str, list[str]] = defaultdict(list)
    for node in graph.nodes:
        for value in node.outputs:
            readers[value.name] += [given.name for given in node.inputs if isinstance(given, gs.Variable)]
    waiting, seen = [tensor], {tensor}
    while waiting:
        new = set(readers[waiting.pop()]) - seen
        waiting += new
        seen |= new
    return seen
