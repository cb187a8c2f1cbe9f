"""A program of a bundle beside the float program that it was made from, tensor by tensor through the names of both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from pydantic import ValidationError

from exporter.errors import BundleError, WeightsError
from exporter.files.cache import Cache
from exporter.graphs.bias import bias_of
from exporter.graphs.graph_file import read_graph
from exporter.graphs.program_files import PROGRAM, copy_program
from exporter.machine.meter import Progress
from exporter.manifest import Manifest, require_whole
from exporter.quantize.layers import find_layers
from exporter.quantize.prepared import prepared
from exporter.quantize.smooth import groups
from exporter.recipe.recipe import Recipe
from exporter.targets.target import Target
from exporter.workshop.onnx_program import OnnxProgram, onnx_programs
from exporter.workshop.workshop import Workshop
from validate.bisect.graphs import Arrays, computed, output_names
from validate.objects.moved_weights import telling_where_they_were

FLOAT_STEPS = ("trace", "unroll")


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


class Originals:
    """The float programs of a bundle, exported again from its recipe without quantization."""

    def __init__(self, folder: Path, manifest: Manifest, workshop: Workshop) -> None:
        self.folder = folder
        self.manifest = manifest
        self._workshop = workshop
        made = onnx_programs(workshop.model, workshop.recipe, workshop.tables, lambda p, _, f: copy_program(p, f), None)
        self._programs = {program.name: program for program in made}

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
        try:
            recipe, target = Recipe.model_validate(manifest.recipe), Target.model_validate(manifest.target)
        except ValidationError as error:
            raise BundleError(f"{folder}: this t3export cannot read its recipe or target: {error}") from None
        source = weights or manifest.weights.source
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": source})})
        with telling_where_they_were(source, weights):
            workshop = Workshop.open(recipe, target, cache, progress)
        if workshop.model.weights_digest != manifest.weights.digest:
            raise WeightsError(f"{source}: not the weights of this bundle; point --weights at its own")
        return cls(folder, manifest, workshop)

    def pair(self, stage: str) -> ProgramPair:
        """Both programs of a stage. Raises BundleError where the recipe makes no such program."""
        if stage not in self._programs:
            raise BundleError(f"{self.folder}: its recipe makes no '{stage}'; build the bundle again")
        program = self._programs[stage]
        traced = self._float_program(program)
        quantized = bool(program.source.quantization.policy.rules)
        graph = prepared(traced) if quantized else read_graph(traced)
        layers = {layer.name: _output(graph, layer.node) for layer in find_layers(graph) if layer.node}
        apart = _changed(graph) if quantized else set()
        original = gs.export_onnx(graph.toposort(), do_type_check=False)
        original.ir_version = graph.ir_version
        bundle = onnx.load(self.folder / self.manifest.stages[stage].program)
        both = set(computed(original)) - apart
        shared = [name for name in computed(bundle) if name in both]
        return ProgramPair(stage, bundle, original, shared, {name: t for name, t in layers.items() if t in shared})

    def _float_program(self, program: OnnxProgram) -> Path:
        entry = None
        for transform in program.transforms(self._workshop.target):
            if transform.step in FLOAT_STEPS:
                entry = self._workshop.transform(transform, program.name, entry)
        assert entry is not None
        return entry.folder / PROGRAM


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
