"""Each rule with a graph that breaks it and the nearest one that keeps it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporter.backends.tensorrt.lint.require_clean import RULES, lint, require_clean
from exporter.errors import ValidationFailed

LAYER = """layer (float[batch, 8] x) => (float[batch, 4] y) {
    half = Cast<to: int = 10>(x)
    hidden = Relu(half)
    q = QuantizeLinear(hidden, step, zero)
    d = DequantizeLinear(q, step, zero)
    w = DequantizeLinear<axis: int = 1>(weight, steps, zeros)
    product = MatMul(d, w)
    y = Cast<to: int = 1>(product)
}"""
CONSTANTS = {
    "step": np.float16(0.1),
    "zero": np.int8(0),
    "weight": np.ones((8, 4), np.int8),
    "steps": np.full(4, 0.1, np.float16),
    "zeros": np.zeros(4, np.int8),
}


def layer(*changes, opset=20, ir=10, **constants):
    """The quantized layer with lines of its text replaced and other constants."""
    text = LAYER
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text, {**CONSTANTS, **constants}, opset, ir


def graph(body, inputs="float[batch, 8] x", output="float[batch, 8] y", opset=20, ir=10, **constants):
    return f"g ({inputs}) => ({output}) {{ {body} }}", constants, opset, ir


def int4(width, **more):
    """A layer whose weight is INT4 in blocks of rows, beside an activation in half precision."""
    text = LAYER.replace("MatMul(d, w)", "MatMul(hidden, w)").replace("batch, 4", f"batch, {width}")
    text = "\n".join(line for line in text.splitlines() if " q = " not in line and " d = " not in line)
    text = text.replace("(weight, steps, zeros)", "(weight, steps)")
    weight = helper.make_tensor("weight", TensorProto.INT4, [8, width], [1] * 8 * width)
    return text, {"weight": weight, "steps": np.full(width, 0.1, np.float16), **more}, 21, 10


def batched(axis, scales):
    """A product with a matrix for each row."""
    body = (
        "h = Relu(x) q = QuantizeLinear(h, step, zero) d = DequantizeLinear(q, step, zero) "
        f"w = DequantizeLinear<axis: int = {axis}>(weight, steps, zeros) y = MatMul(d, w)"
    )
    shape = np.shape(scales)
    constants = {"step": np.float32(0.1), "zero": np.int8(0), "weight": np.ones((3, 8, 4), np.int8),
                 "steps": np.asarray(scales, np.float32), "zeros": np.zeros(shape, np.int8)}  # fmt: skip
    return graph(body, "float[3, batch, 8] x", "float[3, batch, 4] y", **constants)


def attention(rows):
    """A product of two quantized activations."""
    body = (
        "h = Relu(x) q = QuantizeLinear(h, step, zero) a = DequantizeLinear(q, step, zero) "
        "t = Transpose<perm: ints = [0, 2, 1]>(h) p = QuantizeLinear(t, step, zero) "
        "b = DequantizeLinear(p, step, zero) y = MatMul(a, b)"
    )
    constants = {"step": np.float32(0.1), "zero": np.int8(0)}
    return graph(body, f"float[batch, {rows}, 8] x", f"float[batch, {rows}, {rows}] y", **constants)


LOOP = (
    "trips = Constant<value_int: int = 2>() on = Constant<value: tensor = bool {1}>() y = Loop(trips, on, x) "
    "<body = b (int64 i, bool c, float[batch, 8] s) => (bool d, float[batch, 8] t) { d = Identity(c) t = Relu(s) }>"
)
NORM = "m = ReduceMean(x, axes) c = Sub(x, m) {square} v = ReduceMean(s, axes) y = Div(c, v)"

CASES = {
    "symmetric": (layer(zero=np.int8(3)), layer()),
    "signed": (layer(zero=np.uint8(0)), layer()),
    "float-bias": (
        graph("b = DequantizeLinear(bias, step) y = Add(x, b)", bias=np.ones(8, np.int32), step=np.float32(1)),
        graph("y = Add(x, bias)", bias=np.ones(8, np.float32)),
    ),
    "positive-scale": (layer(steps=np.array([0.1, 0, 0.1, 0.1], np.float16)), layer()),
    "scale-type": (layer(("Cast<to: int = 10>(x)", "Identity(x)")), layer()),
    "per-tensor-activation": (
        layer(("QuantizeLinear(hidden, step, zero)", "QuantizeLinear<axis: int = 1>(hidden, eight, zero8)"),
              eight=np.full(8, 0.1, np.float16), zero8=np.zeros(8, np.int8)),
        layer(),
    ),
    "one-axis": (batched(1, np.ones((3, 1, 4))), batched(2, np.ones(4))),
    "channel-axis": (
        layer(("axis: int = 1", "axis: int = 0"), steps=np.ones(8, np.float16), zeros=np.zeros(8, np.int8)),
        layer(),
    ),
    "zero-point-size": (layer(zeros=np.zeros(1, np.int8)), layer()),
    "int4-weights": (int4(5), int4(4)),
    "on-the-product": (
        layer(("product = MatMul(d, w)", "e = Tanh(d) product = MatMul(e, w)")),
        layer(),
    ),
    "both-inputs": (layer(("MatMul(d, w)", "MatMul(hidden, w)")), layer()),
    "no-quantized-input": (
        layer(("half = Cast<to: int = 10>(x)\n    hidden = Relu(half)\n", ""), ("hidden, step", "x, step"),
              ("(float[batch, 8] x)", "(float16[batch, 8] x)")),
        layer(),
    ),
    "no-quantized-shape": (
        layer(("y = Cast", "n = Shape(d) y = Cast")),
        layer(("y = Cast", "n = Shape(hidden) y = Cast")),
    ),
    "int8-attention": (attention(1026), attention(256)),
    "known-operator": (
        graph("q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z)"),
        graph("y = Relu(x)"),
    ),
    "no-attention": (
        graph("y = Attention<q_num_heads: int = 2, kv_num_heads: int = 2>(x, x, x)", "float[1, 4, 8] x",
              "float[1, 4, 8] y", opset=23),
        graph("y = Softmax(x)"),
    ),
    "no-loop": (graph(LOOP), graph("s = Relu(x) y = Relu(s)")),
    "whole-layer-norm": (
        graph(NORM.format(square="s = Pow(c, two)"), axes=np.array([-1]), two=np.float32(2)),
        graph("y = LayerNormalization(x, scale)", scale=np.ones(8, np.float32)),
    ),
    "float-only": (
        graph("n = CumSum(x, axis) y = Cast<to: int = 1>(n)", "int64[batch, 8] x", axis=np.array(1)),
        graph("n = Cast<to: int = 1>(x) y = CumSum(n, axis)", "int64[batch, 8] x", axis=np.array(1)),
    ),
    "known-at-build": (
        graph("y = ReduceSum(x, axes)", "float[batch, 8] x, int64[1] axes", "float[batch, 1] y"),
        graph("y = ReduceSum(x, axes)", output="float[batch, 1] y", axes=np.array([1])),
    ),
    "small-top-k": (
        graph("y, i = TopK(x, k)", "float[batch, 5000] x", "float[batch, 4000] y", k=np.array([4000])),
        graph("y, i = TopK(x, k)", "float[batch, 5000] x", "float[batch, 30] y", k=np.array([30])),
    ),
    "opset": (layer(opset=21), layer()),
    "ir-version": (layer(ir=11), layer()),
    "one-type": (
        graph("h = Cast<to: int = 10>(x) y = Add(x, h)"),
        graph("h = Cast<to: int = 10>(x) f = Cast<to: int = 1>(h) y = Add(x, f)"),
    ),
    "type-of-the-gpu": (
        graph("h = Cast<to: int = 17>(x) y = Cast<to: int = 1>(h)"),
        graph("h = Cast<to: int = 16>(x) y = Cast<to: int = 1>(h)"),
    ),
    "no-double": (
        graph("h = Cast<to: int = 11>(x) d = Add(h, one) y = Cast<to: int = 1>(d)", one=np.float64(1)),
        graph("y = Add(x, one)", one=np.float32(1)),
    ),
    "no-uint8": (
        graph("f = Cast<to: int = 1>(bytes) y = Add(x, f)", bytes=np.ones(8, np.uint8)),
        graph("f = Cast<to: int = 1>(bytes) y = Add(x, f)", bytes=np.ones(8, np.int32)),
    ),
    "known-type": (
        graph("u = Unheard(x) h = Add(u, u) y = Add(h, x)"),
        graph("u = Relu(x) h = Add(u, u) y = Add(h, x)"),
    ),
}  # fmt: skip


def write(folder, case):
    text, constants, opset, ir = case
    model = onnx.parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}]> {text}')
    for name, value in constants.items():
        is_tensor = isinstance(value, TensorProto)
        model.graph.initializer.append(value if is_tensor else numpy_helper.from_array(np.asarray(value), name))
    for node in model.graph.node:
        node.name = node.name or f"g/{node.output[0]}/{node.op_type}"
    path = folder / "program.onnx"
    onnx.save(model, path)
    return path


def broken(folder, case):
    return {finding.rule.name for finding in lint(write(folder, case), "8.7")}


def test_every_rule_has_its_two_graphs():
    assert sorted(CASES) == sorted(rule.name for rule in RULES)


@pytest.mark.parametrize("name", CASES)
def test_a_rule_finds_what_breaks_it_and_leaves_what_keeps_it(tmp_path, name):
    breaking, keeping = CASES[name]
    assert name in broken(tmp_path, breaking)
    assert name not in broken(tmp_path, keeping)


def test_a_well_made_layer_keeps_all_rules(tmp_path):
    assert broken(tmp_path, layer()) == set()


def test_bfloat16_depends_on_the_gpu(tmp_path):
    path = write(tmp_path, graph("h = Cast<to: int = 16>(x) y = Cast<to: int = 1>(h)"))
    assert not lint(path, "8.7")
    (finding,) = lint(path, "7.5")
    assert "BFLOAT16 needs compute capability 8.0, not 7.5" in str(finding)


def test_an_error_says_where_what_why_and_how_to_mend_it(tmp_path):
    path = write(tmp_path, layer(zero=np.int8(3)))
    with pytest.raises(ValidationFailed) as told:
        require_clean(path, "8.7", "denoiser")
    text = str(told.value)
    assert text.startswith("TensorRT would not take program 'denoiser':")
    assert "denoiser: g/q/QuantizeLinear: the zero point 'zero' is not 0 [symmetric; onnx-tensorrt" in text
    assert "To mend: quantize symmetrically" in text


def test_a_warning_is_given_back(tmp_path):
    (warning,) = require_clean(write(tmp_path, CASES["int8-attention"][0]), "8.7")
    assert warning.rule.severity == "warning" and "with 1026 rows is not fused" in str(warning)


def test_scales_kept_beside_the_program_are_read(tmp_path):
    path = write(tmp_path, layer(steps=np.zeros(4, np.float16)))
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert "positive-scale" in {finding.rule.name for finding in lint(path, "8.7")}
