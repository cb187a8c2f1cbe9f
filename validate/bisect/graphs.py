"""Programs run with any of their tensors as outputs, and the part of a program between two sets of tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import onnx
import onnxruntime as ort

from exporter.graphs.bodies import all_graphs, bodies
from exporter.runtime.sessions.onnxruntime import exact_sums

Arrays = dict[str, np.ndarray]
AT_ONCE = 64


def run(model: onnx.ModelProto, inputs: Arrays, tensors: Sequence[str]) -> Arrays:
    """The values of these tensors of a program; of `inputs` it reads its own alone, whatever else is recorded there.

    Raises ONNX Runtime's own errors for a program that it cannot run.
    """
    given = set(input_names(model))
    found: Arrays = {name: inputs[name] for name in tensors if name in given}
    wanted = [name for name in tensors if name not in found]
    for start in range(0, len(wanted), AT_ONCE):
        found |= _run(model, inputs, wanted[start : start + AT_ONCE])
    return found


def between(model: onnx.ModelProto, known: Arrays, outputs: Sequence[str]) -> onnx.ModelProto:
    """The nodes that lead from known tensors to `outputs`, none of them known, as a program of its own.

    Its inputs are those of the known tensors that it reads, with the types of their values.
    """
    nodes, reached = _walk(model.graph, known, outputs)
    stored = [tensor for tensor in model.graph.initializer if tensor.name in reached]
    inputs = [_described(name, known[name]) for name in sorted(reached & known.keys())]
    wanted = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = onnx.helper.make_graph([_beside(node, known) for node in nodes], model.graph.name, inputs, wanted, stored)
    return onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version, functions=model.functions
    )


def input_names(model: onnx.ModelProto) -> list[str]:
    """Names of a program's inputs."""
    return [value.name for value in model.graph.input]


def output_names(model: onnx.ModelProto) -> list[str]:
    """Names of a program's outputs."""
    return [value.name for value in model.graph.output]


def computed(model: onnx.ModelProto) -> list[str]:
    """Names of the tensors that a program computes, in the order in which it does."""
    return [name for node in model.graph.node for name in node.output if name]


def _run(model: onnx.ModelProto, inputs: Arrays, tensors: Sequence[str]) -> Arrays:
    own = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    for key, value in exact_sums().items():
        settings.add_session_config_entry(key, value)
    try:
        session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    finally:
        del model.graph.output[:]
        model.graph.output.extend(own)
    fed = {given.name: _as(inputs[given.name], given.type) for given in session.get_inputs()}
    return dict(zip(tensors, session.run(list(tensors), fed), strict=True))


def _as(value: np.ndarray, kind: str) -> np.ndarray:
    """A real tensor in the precision that a program takes."""
    wanted = {"tensor(float)": np.float32, "tensor(float16)": np.float16}.get(kind)
    return value.astype(wanted) if wanted is not None else value


def _walk(
    graph: onnx.GraphProto, known: Collection[str], outputs: Sequence[str]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """Nodes in order, and all names that they read, those of their inner graphs included."""
    makers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    waiting, reached, chosen = list(outputs), set(outputs), set()
    while waiting:
        name = waiting.pop()
        if name in known or name not in makers or makers[name] in chosen:
            continue
        chosen.add(makers[name])
        read = set(_reads(graph.node[makers[name]]))
        waiting += read - reached
        reached |= read
    return [graph.node[i] for i in sorted(chosen)], reached


def _beside(node: onnx.NodeProto, known: Collection[str]) -> onnx.NodeProto:
    """The node, with those of its outputs that are known already under other names."""
    other = onnx.NodeProto()
    other.CopyFrom(node)
    other.output[:] = [f"{name}:again" if name in known else name for name in node.output]
    return other


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from (name for name in node.input if name)
    for body in bodies(node):
        for graph in all_graphs(body):
            yield from (name for inner in graph.node for name in inner.input if name)
            yield from (value.name for value in graph.output)


def _described(name: str, value: np.ndarray) -> onnx.ValueInfoProto:
    """A tensor's type and rank. Sizes stay open as in a traced program: with all of them known, ONNX Runtime 1.32 fuses
    a quantized product with its bias into a graph that it then refuses (`gemm_input_reshape_arg_q`)."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, [None] * value.ndim)
