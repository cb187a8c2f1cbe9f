"""What this machine can do at most: products of given shapes in three precisions, and memory read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

from exporter.machine.timing import Action, interleaved, timed
from exporter.search.latency import IR_VERSION
from validate.bench.products import ProductShape

Kind = Literal["fp32", "bf16", "int8"]
KINDS: tuple[Kind, ...] = ("fp32", "bf16", "int8")

SECONDS_A_SHAPE = 1.0
# Threads of a library go on waiting busily for some milliseconds, in the way of the next library's.
BLOCK_SECONDS = 0.05
# Far more than any cache of a processor holds.
STREAM_BYTES = 2**28
OPSET = 20
GIGA = 1e9


@dataclass(frozen=True)
class Ceiling:
    """The fastest of several libraries at one shape: operations a second, and whose they are."""

    rate: float
    library: str


def product_ceilings(shape: ProductShape, threads: int, seconds: float = SECONDS_A_SHAPE) -> dict[Kind, Ceiling]:
    """The best rate of each precision at a shape; one that no library here multiplies in is left out.

    Results have their place beforehand, as inside of a program: new memory for each would cost more than thin products.
    """
    actions: dict[tuple[Kind, str], _Block] = {}
    for (kind, library), make in _PRODUCTS.items():
        try:
            action = make(shape, threads)
            action()
        # Not every build of a library has every product.
        except (RuntimeError, NotImplementedError):
            continue
        actions[kind, library] = _Block.of(action)
    keys = {f"{kind} {library}": (kind, library) for kind, library in actions}
    taken = interleaved({name: actions[key] for name, key in keys.items()}, seconds)
    found: dict[Kind, Ceiling] = {}
    for name, (kind, library) in keys.items():
        rate = shape.operations * actions[kind, library].times / float(np.median(taken[name]))
        if kind not in found or found[kind].rate < rate:
            found[kind] = Ceiling(rate, library)
    return found


def read_bandwidth(seconds: float = SECONDS_A_SHAPE) -> float:
    """Bytes a second of reading memory, and of copying it (both ways counted), whichever is more."""
    source = torch.ones(STREAM_BYTES // 4)
    target = torch.empty_like(source)
    taken = interleaved({"read": source.sum, "copy": partial(target.copy_, source)}, seconds)
    medians = {name: float(np.median(times)) for name, times in taken.items()}
    return max(STREAM_BYTES / medians["read"], 2 * STREAM_BYTES / medians["copy"])


def heaviest(linear: Sequence[Mapping[ProductShape, int]], share: float = 0.95, most: int = 12) -> list[ProductShape]:
    """The shapes that make up a share of each stage's operations, the heaviest first; `most` of them in all."""
    chosen: dict[ProductShape, float] = {}
    for stage in linear:
        whole, seen = sum(shape.operations * times for shape, times in stage.items()), 0
        for shape, times in sorted(stage.items(), key=lambda item: -item[0].operations * item[1]):
            if seen < share * whole:
                chosen[shape] = max(chosen.get(shape, 0.0), shape.operations * times / whole)
            seen += shape.operations * times
    return sorted(chosen, key=lambda shape: -chosen[shape])[:most]


@dataclass(frozen=True)
class _Block:
    """One library's product n times in a row."""

    action: Action
    times: int

    @classmethod
    def of(cls, action: Action) -> _Block:
        return cls(action, max(1, math.ceil(BLOCK_SECONDS / timed(action))))

    def __call__(self) -> None:
        for _ in range(self.times):
            self.action()


def _in_torch(dtype: torch.dtype, shape: ProductShape, threads: int) -> Action:
    torch.set_num_threads(threads)
    left, right = (
        torch.ones(*_lead(shape), shape.rows, shape.inner),
        torch.ones(*_lead(shape), shape.inner, shape.columns),
    )
    left, right = left.to(dtype), right.to(dtype)
    return partial(torch.matmul, left, right, out=left @ right)


def _integers_in_torch(shape: ProductShape, threads: int) -> Action:
    if shape.count > 1:
        raise NotImplementedError("torch._int_mm has no batch")
    torch.set_num_threads(threads)
    left, right = (
        torch.ones(size, dtype=torch.int8) for size in ((shape.rows, shape.inner), (shape.columns, shape.inner))
    )
    return partial(torch._int_mm, left, right.T, out=torch._int_mm(left, right.T))


def _in_onnxruntime(operator: str, left: np.dtype, right: np.dtype, shape: ProductShape, threads: int) -> Action:
    """A program of the product alone, its second factor a constant, as weights are."""
    weight = numpy_helper.from_array(np.ones((*_lead(shape), shape.inner, shape.columns), right), "weight")
    given = np.ones((*_lead(shape), shape.rows, shape.inner), left)
    x = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(left), given.shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT if operator == "MatMul" else TensorProto.INT32, None)
    graph = helper.make_graph([helper.make_node(operator, ["x", "weight"], ["y"])], "product", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    [result] = session.run(None, {"x": given})
    binding = session.io_binding()
    for bind, name, array in (
        (binding.bind_ortvalue_input, "x", given),
        (binding.bind_ortvalue_output, "y", result),
    ):
        bind(name, ort.OrtValue.ortvalue_from_numpy(array))
    return partial(session.run_with_iobinding, binding)


def _lead(shape: ProductShape) -> tuple[int, ...]:
    return (shape.count,) if shape.count > 1 else ()


_FLOAT, _UINT8, _INT8 = np.dtype(np.float32), np.dtype(np.uint8), np.dtype(np.int8)
_PRODUCTS: dict[tuple[Kind, str], Callable[[ProductShape, int], Action]] = {
    ("fp32", "PyTorch"): partial(_in_torch, torch.float32),
    ("fp32", "ONNX Runtime"): partial(_in_onnxruntime, "MatMul", _FLOAT, _FLOAT),
    ("bf16", "PyTorch"): partial(_in_torch, torch.bfloat16),
    ("int8", "PyTorch"): _integers_in_torch,
    ("int8", "ONNX Runtime"): partial(_in_onnxruntime, "MatMulInteger", _UINT8, _INT8),
}
