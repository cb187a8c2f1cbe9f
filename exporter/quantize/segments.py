"""A program in segments that run one after the other, so that few of the tensors inside it are in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from exporter.machine.processor import threads_to_use

OUTPUT_BYTES = 2**28

Arrays = dict[str, np.ndarray]


class Segments:
    """A float32 program whose inner `tensors` are to be seen, cut so that those of one segment take at most
    `OUTPUT_BYTES` on `typical` inputs. Each of its nodes runs once, those that lead to no such tensor not at all.

    External weights are read from `folder`. `threads` 0: all processors.
    """

    def __init__(
        self, model: onnx.ModelProto, folder: Path, tensors: Sequence[str], typical: Arrays, threads: int
    ) -> None:
        sizes = _sizes(model, folder, tensors, typical, threads)
        self._segments = [(part, _session(part.model, folder, threads)) for part in cut(model, list(_groups(sizes)))]

    def run(self, inputs: Arrays) -> Iterator[tuple[str, np.ndarray]]:
        """The tensors by name, in the order in which the program makes them; each is to be dropped before the next."""
        known = dict(inputs)
        for part, session in self._segments:
            outputs = [value.name for value in part.model.graph.output]
            values = session.run(outputs, {value.name: known[value.name] for value in part.model.graph.input})
            found = dict(zip(outputs, values, strict=True))
            del values
            for name in part.past:
                known.pop(name)
            known.update((name, found[name]) for name in part.handed_on)
            for name in part.wanted:
                yield name, found.pop(name)


@dataclass(frozen=True)
class Segment:
    """Part of a program. `wanted`: the tensors that are to be seen; `handed_on`: those that later parts read; `past`:
    those that it is the last to read."""

    model: onnx.ModelProto
    wanted: list[str]
    handed_on: list[str]
    past: list[str]


def cut(model: onnx.ModelProto, groups: Sequence[list[str]]) -> Iterator[Segment]:
    """The part that makes each group of tensors, from the program's inputs and from what earlier parts hand on."""
    graph = model.graph
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = {value.name: value for value in (*inferred.value_info, *graph.input)}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = _divided(graph, groups)
    reads = [{name for node in some for name in node.input} for some in nodes]
    last = {name: i for i, (read, group) in enumerate(zip(reads, groups, strict=True)) for name in (*read, *group)}
    for i, (some, group) in enumerate(zip(nodes, groups, strict=True)):
        made = dict.fromkeys(name for node in some for name in node.output)
        handed_on = [name for name in made if last.get(name, i) > i]
        inputs = sorted({*reads[i], *group} - {*made, *weights, ""})
        part = onnx.ModelProto()
        part.CopyFrom(model)
        part.ClearField("graph")
        part.graph.name = graph.name
        part.graph.node.extend(some)
        part.graph.initializer.extend(weights[name] for name in sorted(reads[i] & weights.keys()))
        part.graph.input.extend(values[name] for name in inputs)
        part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys([*group, *handed_on]))
        # Shapes decide what ONNX Runtime fuses, and with that the last bit.
        part.graph.value_info.extend(value for value in graph.value_info if value.name in made)
        yield Segment(part, group, handed_on, [name for name in inputs if last[name] == i])


def _divided(graph: onnx.GraphProto, groups: Sequence[list[str]]) -> list[list[onnx.NodeProto]]:
    """The nodes that lead to each group of tensors and to none before it, in order."""
    found: list[list[onnx.NodeProto]] = []
    done: set[str] = set()
    for group in groups:
        needed, kept = set(group) - done, []
        for node in reversed(graph.node):
            if needed & set(node.output):
                needed.update(set(node.input) - done)
                kept.append(node)
        done.update(name for node in kept for name in node.output)
        found.append(kept[::-1])
    return found


def _sizes(
    model: onnx.ModelProto, folder: Path, tensors: Sequence[str], typical: Arrays, threads: int
) -> dict[str, int]:
    """Elements of each tensor on these inputs, in the order in which the program makes them.

    The few that shape inference does not know count as the largest. Where it knows few, a run measures them.
    """
    order = [v.name for v in model.graph.input] + [name for node in model.graph.node for name in node.output]
    names = [name for name in dict.fromkeys(order) if name in set(tensors)]
    inferred = _inferred_sizes(model, typical)
    known = {name: inferred[name] for name in names if name in inferred}
    if 2 * len(known) < len(names):
        return _measured_sizes(model, folder, names, typical, threads)
    largest = max(known.values())
    return {name: known.get(name, largest) for name in names}


def _inferred_sizes(model: onnx.ModelProto, typical: Arrays) -> dict[str, int]:
    """As far as ONNX's shape inference knows them."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for value in sized.graph.input:
        value.CopyFrom(
            helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, typical[value.name].shape)
        )
    del sized.graph.value_info[:]
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(sized, data_prop=True).graph
    types = {value.name: value.type.tensor_type for value in (*inferred.value_info, *inferred.input)}
    return {
        name: math.prod(size.dim_value for size in known.shape.dim)
        for name, known in types.items()
        if known.HasField("shape") and all(size.HasField("dim_value") for size in known.shape.dim)
    }


def _measured_sizes(
    model: onnx.ModelProto, folder: Path, names: Sequence[str], typical: Arrays, threads: int
) -> dict[str, int]:
    """Also those that depend on the value of an input."""
    part = next(cut(model, [list(names)])).model
    del part.graph.output[:]
    part.graph.node.extend(helper.make_node("Size", [name], [f"{name}/size"]) for name in names)
    part.graph.output.extend(onnx.ValueInfoProto(name=f"{name}/size") for name in names)
    session = _session(part, folder, threads)
    found = session.run([f"{name}/size" for name in names], {v.name: typical[v.name] for v in part.graph.input})
    return dict(zip(names, map(int, found), strict=True))


def _groups(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Neighbours together as long as they stay below the bound."""
    group: list[str] = []
    for name, size in sizes.items():
        if group and 4 * (size + sum(sizes[other] for other in group)) > OUTPUT_BYTES:
            yield group
            group = []
        group.append(name)
    if group:
        yield group


def _session(model: onnx.ModelProto, folder: Path, threads: int) -> Any:
    """An ONNX Runtime session. External weights are read from `folder`."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads_to_use(threads)
    options.log_severity_level = 3
    # The default order would leave what is measured to the end, and every tensor in memory until then.
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
