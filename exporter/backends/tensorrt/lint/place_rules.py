"""Where Q/DQ stands: right on the inputs of a product, so that TensorRT fuses it, and nowhere else."""

from __future__ import annotations

import onnx

from exporter.backends.tensorrt.lint.rule import Found, rule
from exporter.backends.tensorrt.lint.view import DEQUANTIZE, PRODUCTS, QUANTIZE, View

PLACEMENT = "TensorRT developer guide, Q/DQ Layer-Placement Recommendations"
SHAPE_OPERATORS = ("Shape", "Size", "Range", "ConstantOfShape", "NonZero", "Gather", "ArgMax")
FUSED_ATTENTION_TOKENS = 512


@rule("on-the-product", PLACEMENT, "dequantize right before the MatMul, Gemm or Conv", severity="warning")
def on_the_product(view: View) -> Found:
    for node in view.of(DEQUANTIZE):
        for reader in view.readers[node.output[0]]:
            if reader.op_type not in PRODUCTS:
                yield node.name, f"read by {reader.op_type} '{reader.name}', which runs in floating point"


@rule("both-inputs", PLACEMENT, "quantize the activation too, or leave the weight in half precision")
def both_inputs(view: View) -> Found:
    for node in view.of("MatMul", "Gemm"):
        quantized = len(view.dequantized(node))
        if quantized == 1 and not _weight_only(view, node.input[1]):
            yield node.name, "one of its inputs is INT8 and the other is not: it would run in floating point"


@rule("no-quantized-input", "NVIDIA/TensorRT#4832", "leave the program's inputs and outputs in floating point")
def no_quantized_input(view: View) -> Found:
    for node in view.of(QUANTIZE, DEQUANTIZE):
        if node.input[0] in view.inputs:
            yield node.name, f"on the program's input '{node.input[0]}'"
        if node.output[0] in view.outputs:
            yield node.name, f"makes the program's output '{node.output[0]}'"


@rule("no-quantized-shape", "NVIDIA/TensorRT#4832", "take Q/DQ off operators that work on shapes and indices")
def no_quantized_shape(view: View) -> Found:
    for node in view.of(DEQUANTIZE):
        for reader in view.readers[node.output[0]]:
            if reader.op_type in SHAPE_OPERATORS and node.input[0] not in view.stored:
                yield node.name, f"read by {reader.op_type} '{reader.name}'"


@rule(
    "int8-attention",
    "TensorRT developer guide, Multi-Head Attention Fusion: INT8 with heads of 16, 32 or 64 and at most 512 tokens",
    "leave the attention's products in half precision and quantize its projections",
    severity="warning",
)
def int8_attention(view: View) -> Found:
    for node in view.of("MatMul"):
        sources = view.dequantized(node)
        if len(sources) < 2 or any(source.input[0] in view.stored for source in sources):
            continue
        shape = view.shape_of(node.output[0])
        rows = shape[-2] if shape else None
        if not isinstance(rows, int) or rows > FUSED_ATTENTION_TOKENS:
            yield node.name, f"a product of two INT8 activations with {rows or 'unknown'} rows is not fused"


def _weight_only(view: View, name: str) -> bool:
    """Whether a product's right input is a weight in INT4, which goes with an activation in half precision."""
    maker = view.makers.get(name)
    return maker is not None and maker.op_type == DEQUANTIZE and view.type_of(maker.input[0]) == onnx.TensorProto.INT4


RULES = (on_the_product, both_inputs, no_quantized_input, no_quantized_shape, int8_attention)
