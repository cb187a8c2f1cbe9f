"""Which operators TensorRT has, from its parser's own list, and those that it has and that serve badly here."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx

from exporter.backends.tensorrt.lint.rule import Found, rule
from exporter.backends.tensorrt.lint.view import View, type_name

OPERATORS = "onnx-tensorrt, docs/operators.md"
NAMES = Path(__file__).parent / "operators.txt"
INSTEAD = {
    "MatMulInteger": "write the product as MatMul with Q/DQ on both inputs",
    "QLinearMatMul": "write the product as MatMul with Q/DQ on both inputs",
    "DynamicQuantizeLinear": "calibrate: TensorRT has no ranges found at run time (precision int8)",
    "MatMulNBits": "store weights as INT4 with a DequantizeLinear in blocks",
}
FLOAT_ONLY = ("CumSum", "Exp", "LayerNormalization", "MatMul", "Sigmoid", "Sin", "Softmax", "Sqrt", "Tanh")
INTEGERS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT32, onnx.TensorProto.INT64)
# Input that has to be known when the engine is built, by operator.
STORED_INPUTS = {"CumSum": 1, "ReduceMax": 1, "ReduceMean": 1, "ReduceMin": 1, "ReduceSum": 1, "ReduceL2": 1,
                 "Slice": 3, "Squeeze": 1, "Unsqueeze": 1}  # fmt: skip
LARGEST_K = 3840


@cache
def supported() -> frozenset[str]:
    """ONNX operators that TensorRT 10.0 to 11 import."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@rule("known-operator", OPERATORS, "use operators of this list; " + "; ".join(f"{k}: {v}" for k, v in INSTEAD.items()))
def known_operator(view: View) -> Found:
    for node in view.nodes:
        if node.domain not in ("", "ai.onnx"):
            yield node.name, f"{node.domain}.{node.op_type} is another runtime's own operator"
        elif node.op_type not in supported() | {"Attention", "Loop"}:
            yield node.name, f"TensorRT has no {node.op_type}"


@rule(
    "no-attention", "TensorRT 10.14 release notes: `Attention` is new there", "export opset 20, where it is primitive"
)
def no_attention(view: View) -> Found:
    for node in view.of("Attention"):
        yield node.name, "an Attention operator, which TensorRT 10.3 on JetPack 6 does not read"


@rule(
    "no-loop", "onnx/onnx-tensorrt#891: one iteration too many", "set sampler.unroll to step, or to full for few steps"
)
def no_loop(view: View) -> Found:
    for node in view.of("Loop", "Scan"):
        yield node.name, f"a {node.op_type}"


@rule("whole-layer-norm", "onnxsim#1742: half precision overflows", "export LayerNormalization as one operator")
def whole_layer_norm(view: View) -> Found:
    for node in view.of("ReduceMean"):
        square = view.makers.get(node.input[0])
        if square is None or square.op_type not in ("Pow", "Mul"):
            continue
        centred = view.makers.get(square.input[0])
        is_square = square.op_type == "Pow" or square.input[0] == square.input[1]
        if is_square and centred is not None and centred.op_type == "Sub":
            yield square.name, "a variance computed as the mean of squares"


@rule("float-only", f"{OPERATORS}: types of each operator", "cast to floating point before and back after")
def float_only(view: View) -> Found:
    for node in view.of(*FLOAT_ONLY):
        kind = view.type_of(node.input[0])
        if kind in INTEGERS:
            yield node.name, f"{node.op_type} of {type_name(kind)}"


@rule("known-at-build", f"{OPERATORS}: axes must be initializers", "store the axes as a constant")
def known_at_build(view: View) -> Found:
    for node in view.of(*STORED_INPUTS):
        place = STORED_INPUTS[node.op_type]
        name = node.input[place] if len(node.input) > place else ""
        if name and name not in view.stored and not _is_constant(view, name):
            yield node.name, f"the axes '{name}' of {node.op_type} are computed at run time"


@rule("small-top-k", f"{OPERATORS}: K below {LARGEST_K}, sorted", "take fewer elements")
def small_top_k(view: View) -> Found:
    for node in view.of("TopK"):
        values = view.values(node.input[1])
        if values is not None and int(values.max()) >= LARGEST_K:
            yield node.name, f"K is {int(values.max())}"


def _is_constant(view: View, name: str) -> bool:
    maker = view.makers.get(name)
    return maker is not None and maker.op_type == "Constant"


RULES = (known_operator, no_attention, no_loop, whole_layer_norm, float_only, known_at_build, small_top_k)
