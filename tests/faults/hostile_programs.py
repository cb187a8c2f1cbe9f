"""Bundles whose hashes are right and whose ONNX programs somebody else wrote."""

from __future__ import annotations

import contextlib
import random
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from exporter.errors import EmptyMesh
from exporter.manifest import list_files, read_manifest, write_manifest
from exporter.runtime.bundle import Bundle
from tests.faults.children import limited_memory, run_child
from tests.faults.fault import Attempt, Fault
from tests.toy_bundle import write_toy_bundle

MEMORY = 2**31
SECONDS = 60.0
Change = Callable[[onnx.ModelProto, random.Random], None]


def unknown_operator(model: onnx.ModelProto, rng: random.Random) -> None:
    rng.choice(model.graph.node).op_type = rng.choice(["Shell", "MatMulInteger99", "", "../Identity"])


def unknown_domain(model: onnx.ModelProto, rng: random.Random) -> None:
    rng.choice(model.graph.node).domain = rng.choice(["evil", "com.microsoft", "ai.onnx.ml"])


def other_opset(model: onnx.ModelProto, rng: random.Random) -> None:
    model.opset_import[0].version = rng.choice([0, -1, 1, 99, 2**31 - 1])


def huge_shape(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(model.graph.initializer)
    del tensor.dims[:]
    tensor.dims.extend(rng.choice([[2**40], [2**20, 2**20, 2**20], [-5], [2**31, 0], [2**62, 4]]))


def huge_constant(model: onnx.ModelProto, rng: random.Random) -> None:
    """A tensor of terabytes is asked for while the program runs, or while it is optimized."""
    size = helper.make_tensor("size", TensorProto.INT64, [1], [rng.choice([2**38, 2**44, 2**62])])
    model.graph.initializer.append(size)
    node = model.graph.node[0]
    first = node.output[0]
    node.output[0] = f"{first}/before"
    model.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["large"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0))
    model.graph.node.append(helper.make_node("Add", [f"{first}/before", "sum"], [first]))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[0], *nodes[-3:], *nodes[1:-3]])


def external_data_elsewhere(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    where = rng.choice(["/etc/passwd", "../../../../etc/passwd", "manifest.json", "/dev/zero", "", "no such file"])
    for key, value in {"location": where, "offset": rng.choice(["0", "-8", str(2**62)]), "length": "64"}.items():
        tensor.external_data.add(key=key, value=value)


def cycle(model: onnx.ModelProto, rng: random.Random) -> None:
    node = rng.choice([node for node in model.graph.node if node.input])
    node.input[rng.randrange(len(node.input))] = model.graph.node[-1].output[0]


def other_type(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(model.graph.initializer)
    tensor.data_type = rng.choice([0, 8, 16, 99, TensorProto.STRING, TensorProto.COMPLEX64])


def without_outputs(model: onnx.ModelProto, rng: random.Random) -> None:
    del model.graph.output[:]


def other_names(model: onnx.ModelProto, rng: random.Random) -> None:
    rng.choice([*model.graph.input, *model.graph.output]).name = rng.choice(["", "x" * 10_000, "\x00", "step"])


CHANGES: list[Change] = [
    unknown_operator, unknown_domain, other_opset, huge_shape, huge_constant, external_data_elsewhere, cycle,
    other_type, without_outputs, other_names,
]  # fmt: skip


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    bundle = write_toy_bundle(folder / "bundle")
    programs = {stage: onnx.load(bundle / f"{stage}.onnx") for stage in read_manifest(bundle).stages}
    stages = [stage for stage, model in programs.items() if model.graph.initializer and len(model.graph.node) > 1]
    for number in range(count):
        change, stage = CHANGES[number % len(CHANGES)], rng.choice(stages)
        path = bundle / f"{stage}.onnx"
        content = path.read_bytes()
        model = onnx.load_from_string(content)
        change(model, rng)
        path.write_bytes(model.SerializeToString())
        manifest = read_manifest(bundle)
        write_manifest(bundle, manifest.model_copy(update={"files": list_files(bundle)}))
        end = run_child(partial(_generate, bundle), folder / "words", after=SECONDS)
        path.write_bytes(content)
        write_manifest(bundle, manifest)
        yield Attempt(change.__name__.replace("_", " "), f"{stage}: {end.lost}" if end.lost else "")


def _generate(bundle: Path) -> None:
    """In a child. What the change left harmless makes a mesh."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with limited_memory(MEMORY), contextlib.suppress(EmptyMesh):
        Bundle.open(bundle).generate("a red ball", grid=8)


FAULT = Fault(
    "hostile-programs",
    "opens and runs a bundle with right hashes and one program that was tampered with, in 2 GiB; it ends with a mesh "
    "or with words",
    400,
    attempts,
    sample=20,
)
