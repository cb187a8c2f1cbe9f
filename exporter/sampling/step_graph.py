"""The ONNX graph of one sampler step, to be copied into larger graphs without touching its weights."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data
from onnx.reference import ReferenceEvaluator

from exporter.graphs.program_files import copy_weights
from exporter.pipeline.sampling import NOISE, SAMPLE, STATE, STEP


class StepGraph:
    """A step program, read without its external weights."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.model = onnx.load(program, load_external_data=False)
        self.graph = self.model.graph
        self.initializers = {tensor.name: tensor for tensor in self.graph.initializer}

    def like(self, name: str, new_name: str) -> onnx.ValueInfoProto:
        """The declaration of one of the step's inputs under another name."""
        value = onnx.ValueInfoProto()
        value.CopyFrom(next(v for v in self.graph.input if v.name == name))
        value.name = new_name
        return value

    @property
    def takes_noise(self) -> bool:
        """Whether it is the step of a sampler with churn."""
        return any(value.name == NOISE for value in self.graph.input)

    def noise_of_all(self, evaluations: int) -> onnx.ValueInfoProto:
        """The declaration of the noise [B, evaluations, *latents] that a program of all evaluations takes."""
        value = self.like(NOISE, NOISE)
        first, *latents = value.type.tensor_type.shape.dim
        size = onnx.TensorShapeProto.Dimension(dim_value=evaluations)
        value.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto(dim=[first, size, *latents]))
        return value

    def copy(
        self, names: dict[str, str], prefix: str = "", without: frozenset[int] = frozenset()
    ) -> list[onnx.NodeProto]:
        """The nodes with inputs renamed by `names` and, given a prefix, every value of their own prefixed."""
        own = {output for node in self.graph.node for output in node.output if output}
        nodes = []
        for i, original in enumerate(self.graph.node):
            if i in without:
                continue
            node = onnx.NodeProto()
            node.CopyFrom(original)
            node.name = prefix + original.name
            node.input[:] = [names.get(n, prefix + n if n in own else n) for n in original.input]
            node.output[:] = [prefix + n if n else n for n in original.output]
            nodes.append(node)
        return nodes

    @cached_property
    def foldable(self) -> frozenset[int]:
        """Indices of the nodes that depend on the step number and on constants only."""
        known, found = {STEP}, set()
        for i, node in enumerate(self.graph.node):
            inputs = {name for name in node.input if name}
            if inputs & known and inputs <= known | self.initializers.keys():
                known.update(node.output)
                found.add(i)
        return frozenset(found)

    @cached_property
    def folded_away(self) -> set[str]:
        """Names of the tables that nothing reads once the foldable nodes are gone."""
        kept = {name for i, node in enumerate(self.graph.node) if i not in self.foldable for name in node.input}
        return self.initializers.keys() - kept

    def fold(self, step: int, prefix: str) -> list[onnx.TensorProto]:
        """The results of the foldable nodes that other nodes read, for one step number, as prefixed constants."""
        rest = [node for i, node in enumerate(self.graph.node) if i not in self.foldable]
        needed = {name for node in rest for name in node.input}
        outputs = [name for i in sorted(self.foldable) for name in self.graph.node[i].output if name in needed]
        values = self._evaluator(tuple(outputs)).run(None, {STEP: np.array(step, np.int64)})
        return [numpy_helper.from_array(np.asarray(v), prefix + n) for n, v in zip(outputs, values, strict=True)]

    def _evaluator(self, outputs: tuple[str, ...]) -> ReferenceEvaluator:
        if not hasattr(self, "_folder"):
            nodes = [self.graph.node[i] for i in sorted(self.foldable)]
            read = {name for node in nodes for name in node.input}
            tables = [self._with_data(tensor) for name, tensor in self.initializers.items() if name in read]
            values = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in outputs]
            step = helper.make_tensor_value_info(STEP, onnx.TensorProto.INT64, [])
            graph = helper.make_graph(nodes, "rows", [step], values, tables)
            self._folder = ReferenceEvaluator(helper.make_model(graph, opset_imports=self.model.opset_import))
        return self._folder

    def _with_data(self, tensor: onnx.TensorProto) -> onnx.TensorProto:
        if not uses_external_data(tensor):
            return tensor
        loaded = onnx.TensorProto()
        loaded.CopyFrom(tensor)
        load_external_data_for_tensor(loaded, str(self.program.parent))
        loaded.data_location = onnx.TensorProto.DEFAULT
        del loaded.external_data[:]
        return loaded


def sampler_model(
    step: StepGraph,
    evaluations: int,
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    folder: Path,
    latents: str,
    without: Collection[str] = frozenset(),
) -> Path:
    """Save a graph sample, conditions, all noise of a sampler with churn -> latents that shares the step's weights,
    external data included."""
    weights = [tensor for tensor in step.graph.initializer if tensor.name not in without]
    inputs = [
        step.noise_of_all(evaluations) if value.name == NOISE else step.like(value.name, value.name)
        for value in step.graph.input
        if value.name not in STATE[1:]
    ]
    graph = helper.make_graph(nodes, step.graph.name, inputs, [step.like(SAMPLE, latents)], [*weights, *constants])
    model = helper.make_model(graph, opset_imports=step.model.opset_import, producer_name=step.model.producer_name)
    model.ir_version = step.model.ir_version
    folder.mkdir(parents=True, exist_ok=True)
    copy_weights(model, step.program.parent, folder)
    path = folder / step.program.name
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def zeros_like(name: str, zeros: str) -> list[onnx.NodeProto]:
    """Nodes that make a zero tensor of the shape of `name`."""
    shape = f"{zeros}/shape"
    return [
        helper.make_node("Shape", [name], [shape], name=shape),
        helper.make_node("ConstantOfShape", [shape], [zeros], name=zeros),
    ]


def noise_at(evaluation: str, noise: str) -> onnx.NodeProto:
    """A node that takes one evaluation's noise, by the name of its number, out of that of all."""
    return helper.make_node("Gather", [NOISE, evaluation], [noise], name=noise, axis=1)


def identity(name: str, copy: str) -> onnx.NodeProto:
    """A node that gives a value another name."""
    return helper.make_node("Identity", [name], [copy], name=copy)
