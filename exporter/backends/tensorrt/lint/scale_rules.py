"""Scales and zero points of Q/DQ: symmetric, positive, one axis, of the type of what they scale."""

from __future__ import annotations

import onnx

from exporter.backends.tensorrt.lint.rule import Found, rule
from exporter.backends.tensorrt.lint.view import DEQUANTIZE, QUANTIZE, View, attribute, type_name

OPERATORS = "onnx-tensorrt, docs/operators.md"
IMPORTER = "onnx-tensorrt, QuantDequantLinearHelper"
QUANTIZED_TYPES = "TensorRT developer guide, Working with Quantized Types"
FIRST_FLOAT8, INT8, INT4 = onnx.TensorProto.FLOAT8E4M3FN, onnx.TensorProto.INT8, onnx.TensorProto.INT4


def _scaled(view: View) -> list[onnx.NodeProto]:
    return list(view.of(QUANTIZE, DEQUANTIZE))


@rule("symmetric", f"{OPERATORS}: zero points must be zero", "quantize symmetrically, with zero points of 0")
def symmetric(view: View) -> Found:
    for node in _scaled(view):
        name = node.input[2] if len(node.input) > 2 else ""
        values = view.values(name)
        if name and values is None:
            yield node.name, f"the zero point '{name}' is computed at run time"
        elif values is not None and values.astype("float32").any():
            yield node.name, f"the zero point '{name}' is not 0"


@rule("signed", f"{QUANTIZED_TYPES}: INT8, INT4 and FP8 only", "write zero points as INT8 (an omitted one means UINT8)")
def signed(view: View) -> Found:
    for node in _scaled(view):
        kind = view.type_of(node.input[0] if node.op_type == DEQUANTIZE else node.output[0])
        if kind not in (INT8, INT4, FIRST_FLOAT8):
            yield node.name, f"quantized to {type_name(kind)}"


@rule("float-bias", f"{QUANTIZED_TYPES}: INT32 is not dequantized", "keep biases in floating point")
def float_bias(view: View) -> Found:
    for node in view.of(DEQUANTIZE):
        if view.type_of(node.input[0]) == onnx.TensorProto.INT32:
            yield node.name, f"'{node.input[0]}' is an INT32 bias"


@rule("positive-scale", f"{IMPORTER}: scales must be positive", "give a channel of zeros any positive scale")
def positive_scale(view: View) -> Found:
    for node in _scaled(view):
        values = view.values(node.input[1])
        if values is None:
            yield node.name, f"the scale '{node.input[1]}' is computed at run time"
        elif not (values.astype("float32") > 0).all():
            yield node.name, f"the scale '{node.input[1]}' is not positive everywhere (smallest {values.min():g})"


@rule("scale-type", "ONNX opset 19, TensorRT strong typing", "store scales in the type of the tensor they scale")
def scale_type(view: View) -> Found:
    for node in _scaled(view):
        real = node.input[0] if node.op_type == QUANTIZE else node.output[0]
        scale, wanted = view.type_of(node.input[1]), view.type_of(real)
        if wanted is not None and scale != wanted:
            yield node.name, f"a scale of {type_name(scale)} for '{real}' of {type_name(wanted)}"


@rule("per-tensor-activation", f"{QUANTIZED_TYPES}: activations per tensor", "give an activation one scale")
def per_tensor_activation(view: View) -> Found:
    for node in _scaled(view):
        maker = view.makers.get(node.input[0])
        stored = node.input[0] in view.stored or (maker is not None and maker.input[0] in view.stored)
        if not stored and view.count(node.input[1]) > 1:
            yield node.name, f"the activation '{node.input[0]}' has {view.count(node.input[1])} scales"


@rule(
    "one-axis",
    f"{IMPORTER}: as many scales as channels, along one axis; blocks only for INT4 and FP8",
    "use one scale, or one for each output channel; where several matrices have scales of their own, multiply the "
    "product by them",
)
def one_axis(view: View) -> Found:
    for node in _scaled(view):
        shape, scales = view.shape_of(node.input[0]), view.shape_of(node.input[1]) or ()
        if view.count(node.input[1]) < 2 or view.type_of(node.input[0]) in (INT4, FIRST_FLOAT8):
            continue
        axis = attribute(node, "axis", 1)
        if len(scales) != 1:
            yield node.name, f"INT8 with scales of shape {list(scales)}"
        elif shape and shape[axis] != scales[0]:
            yield node.name, f"{scales[0]} scales along axis {axis} of shape {list(shape)}"


@rule("channel-axis", f"{QUANTIZED_TYPES}: per channel of the output", "scale a weight [K, N] along N")
def channel_axis(view: View) -> Found:
    for product in view.of("MatMul", "Gemm"):
        weight = view.makers.get(product.input[1])
        if weight is None or weight.op_type != DEQUANTIZE or view.count(weight.input[1]) < 2:
            continue
        if view.type_of(weight.input[0]) != INT8:
            continue
        rank = len(view.shape_of(weight.input[0]) or ())
        output = rank - 2 if attribute(product, "transB", 0) else rank - 1
        if attribute(weight, "axis", 1) % rank != output:
            yield (
                weight.name,
                f"scales along axis {attribute(weight, 'axis', 1)}; the output channels are axis {output}",
            )


@rule("zero-point-size", f"{IMPORTER}: zero point and scale of the same size", "repeat the zero point for each scale")
def zero_point_size(view: View) -> Found:
    for node in _scaled(view):
        if len(node.input) > 2 and node.input[2] and view.count(node.input[2]) != view.count(node.input[1]):
            yield node.name, f"{view.count(node.input[1])} scales and {view.count(node.input[2])} zero points"


@rule("int4-weights", f"{QUANTIZED_TYPES}: INT4 is for weights, two to a byte", "use INT4 for weights of even width")
def int4_weights(view: View) -> Found:
    for node in _scaled(view):
        integers = node.input[0] if node.op_type == DEQUANTIZE else node.output[0]
        if view.type_of(integers) != INT4:
            continue
        if integers not in view.stored:
            yield node.name, f"the activation '{node.input[0]}' is INT4"
        elif view.stored[integers].dims[-1] % 2:
            yield node.name, f"the weight '{integers}' of shape {list(view.stored[integers].dims)} has an odd width"


RULES = (
    symmetric,
    signed,
    float_bias,
    positive_scale,
    scale_type,
    per_tensor_activation,
    one_axis,
    channel_axis,
    zero_point_size,
    int4_weights,
)
