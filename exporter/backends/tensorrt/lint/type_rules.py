"""Types and versions: what the parser of the oldest supported TensorRT and the target's GPU can read."""

from __future__ import annotations

import onnx

from exporter.backends.tensorrt.lint.rule import Found, rule
from exporter.backends.tensorrt.lint.view import View, type_name

STRONG_TYPING = "TensorRT developer guide, Strongly Typed Networks; NVIDIA/TensorRT#4832"
SUPPORT_MATRIX = "TensorRT support matrix, Supported Precision Modes"
OPERATORS = "onnx-tensorrt, docs/operators.md"
NEWEST_OPSET, NEWEST_IR = 20, 10
T = onnx.TensorProto
SAME_TYPE = ("Add", "Sub", "Mul", "Div", "Pow", "MatMul", "Gemm", "Concat", "Min", "Max", "LayerNormalization", "Equal")
NEEDED_CAPABILITY: dict[int | None, tuple[int, int]] = {
    T.BFLOAT16: (8, 0),
    T.FLOAT8E4M3FN: (8, 9),
    T.FLOAT8E5M2: (8, 9),
    T.FLOAT4E2M1: (10, 0),
}


@rule("opset", f"TensorRT 10.3 reads opset {NEWEST_OPSET}", f"export opset {NEWEST_OPSET}, the target's `opset`")
def opset(view: View) -> Found:
    for one in view.model.opset_import:
        if one.domain in ("", "ai.onnx") and one.version > NEWEST_OPSET:
            yield "the program", f"opset {one.version}"


@rule("ir-version", f"onnx 1.16, which TensorRT 10.3 is built with, has IR {NEWEST_IR}", f"write IR {NEWEST_IR}")
def ir_version(view: View) -> Found:
    if view.model.ir_version > NEWEST_IR:
        yield "the program", f"IR version {view.model.ir_version}"


@rule("one-type", STRONG_TYPING, "cast one side: TensorRT converts nothing by itself")
def one_type(view: View) -> Found:
    for node in view.of(*SAME_TYPE, "Where"):
        names = node.input[1:] if node.op_type == "Where" else node.input
        kinds = {view.type_of(name) for name in names if name} - {None}
        if len(kinds) > 1:
            yield node.name, f"{node.op_type} of {' and '.join(sorted(type_name(kind) for kind in kinds))}"


@rule("type-of-the-gpu", SUPPORT_MATRIX, "use FP16, or INT8 with Q/DQ, on this GPU")
def type_of_the_gpu(view: View) -> Found:
    named = {*view.stored, *(name for node in view.nodes for name in node.output)}
    for name in sorted(named):
        needed = NEEDED_CAPABILITY.get(view.type_of(name), (0, 0))
        if view.compute_capability < needed:
            here = ".".join(map(str, view.compute_capability))
            yield (
                f"'{name}'",
                f"{type_name(view.type_of(name))} needs compute capability {needed[0]}.{needed[1]}, not {here}",
            )


@rule("no-double", f"{OPERATORS}: DOUBLE is cut to FLOAT", "export in float32", severity="warning")
def no_double(view: View) -> Found:
    for name in sorted({*view.stored, *view.inputs}):
        if view.type_of(name) == T.DOUBLE:
            yield f"'{name}'", "DOUBLE"


@rule("no-uint8", f"{OPERATORS}: UINT8 only as the program's input or output", "use INT8 or INT32")
def no_uint8(view: View) -> Found:
    for name in sorted(view.stored):
        if view.type_of(name) == T.UINT8:
            yield f"'{name}'", "UINT8 inside the program"


@rule("known-type", STRONG_TYPING, "export with shape and type inference", severity="warning")
def known_type(view: View) -> Found:
    for node in view.of("MatMul", "Add", "LayerNormalization"):
        if view.type_of(node.output[0]) is None:
            yield node.name, f"the type of '{node.output[0]}' cannot be inferred, so other rules cannot judge it"


RULES = (opset, ir_version, one_type, type_of_the_gpu, no_double, no_uint8, known_type)
