"""Weights that are stored in fewer bits while activations stay float32.

int8_weights and int4_weights are standard ONNX: a DequantizeLinear with blocks of rows, which ONNX Runtime fuses with
the MatMul that reads it to MatMulNBits, so that they stay small in memory too. Their scales are stored in half
precision behind a Cast that ONNX Runtime folds before it fuses. fp16 and palette are turned back to float32 at load,
but for fp16 tables, of which only the rows that are looked up are.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from numpy.typing import NDArray
from onnx_graphsurgeon.ir.tensor import LazyValues

from exporter.errors import RecipeError, ValidationFailed
from exporter.quantize.layers import Layer
from exporter.quantize.palette import write_palette
from exporter.quantize.rounding import Floats, Gram, blockwise, palette
from exporter.recipe.policy import BLOCK, Rule

BLOCKS_SINCE_OPSET = 21
_BITS = {"int8_weights": 8, "int4_weights": 4}


def replace_weight(graph: gs.Graph, layer: Layer, rule: Rule, gram: Gram | None = None) -> None:
    """Stores the weight of a layer, or a table, as a rule says; in place.

    A table that nothing reads any more, such as a bias that another was made from, is left as it is. With a `gram`
    [K, K] of the layer's inputs integers and palettes are rounded by GPTQ. Raises RecipeError where the program's opset
    has no block scales, ValidationFailed for a weight that half precision cannot hold.
    """
    readers = _readers(graph, layer)
    if not readers:
        return
    weight = next(value for value in readers[0].inputs if value.name == layer.weight)
    real = _stored(graph, layer, rule, weight.values, gram)
    for node in readers:
        node.inputs = [real if value is weight else value for value in node.inputs]
        if rule.precision == "fp16" and node.op == "Gather":
            _cast_rows(graph, node)


def _readers(graph: gs.Graph, layer: Layer) -> list[gs.Node]:
    """The layer's node; all that read a table."""
    if layer.node:
        return [node for node in graph.nodes if node.name == layer.node]
    return [node for node in graph.nodes if any(value.name == layer.weight for value in node.inputs)]


def _stored(graph: gs.Graph, layer: Layer, rule: Rule, values: Floats, gram: Gram | None) -> gs.Variable:
    name = str(layer.weight)
    if rule.precision == "fp16":
        return _write_half(graph, name, values)
    if rule.bits is not None:
        return write_palette(graph, name, *palette(values, rule.bits, gram))
    if graph.opset < BLOCKS_SINCE_OPSET:
        raise RecipeError(
            f"{layer.name}: {rule.precision} needs block scales, which ONNX has since opset {BLOCKS_SINCE_OPSET}, and "
            f"this target's programs have opset {graph.opset}; choose int8, palette or fp16 for it"
        )
    block = rule.block or BLOCK
    integers, scales = blockwise(values, _BITS[rule.precision], block, gram)
    return _write_blocks(graph, name, _integers(name, integers, _BITS[rule.precision]), scales, block)


def _write_blocks(graph: gs.Graph, name: str, integers: gs.Constant, scales: Floats, block: int) -> gs.Variable:
    """Integers [..., K, N] and scales [..., ceil(K / block), N] as the weight they stand for.

    ONNX Runtime would restore a weight of more than two dimensions at every run, which is three to six times slower
    than float32; so that is spelt out in operators that it folds at load.
    """
    scale = _write_half(graph, f"{name}_scale", scales)
    real = gs.Variable(f"{name}:dequantized", np.dtype(np.float32))
    if len(integers.shape) == 2:
        attributes, node = {"axis": 0, "block_size": block}, f"{name}/DequantizeLinear"
        read = [integers, scale, *_zeros_of_int8(name, integers, scales)]
        graph.nodes.append(gs.Node("DequantizeLinear", node, attributes, read, [real]))
        return real
    rows = gs.Constant(f"{name}_block_of_row", np.arange(integers.shape[-2]) // block)
    levels, steps = (gs.Variable(f"{name}:{part}", np.dtype(np.float32)) for part in ("levels", "steps"))
    graph.nodes += [
        gs.Node("Cast", f"{name}/Cast", {"to": np.float32}, [integers], [levels]),
        gs.Node("Gather", f"{name}/Gather", {"axis": len(integers.shape) - 2}, [scale, rows], [steps]),
        gs.Node("Mul", f"{name}/Mul", inputs=[levels, steps], outputs=[real]),
    ]
    return real


def _zeros_of_int8(name: str, integers: gs.Constant, scales: Floats) -> list[gs.Constant]:
    """Where ONNX Runtime reads INT8 as UINT8, for products that cannot overflow, it gives a weight without zero points
    a single one, which blocks must not have. INT4 it leaves as it is."""
    if integers.dtype != np.int8:
        return []
    return [gs.Constant(f"{name}_zero_point", np.zeros(scales.shape, np.int8))]


def _write_half(graph: gs.Graph, name: str, values: Floats) -> gs.Variable:
    """Values stored in half precision, cast to float32."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValidationFailed(
            f"{name}: holds {np.abs(values).max():.4g}, and half precision ends at 65504; keep this one in fp32"
        )
    stored, real = gs.Constant(f"{name}:half", half), gs.Variable(f"{name}:float", np.dtype(np.float32))
    graph.nodes.append(gs.Node("Cast", f"{name}:half/Cast", {"to": np.float32}, [stored], [real]))
    return real


def _cast_rows(graph: gs.Graph, gather: gs.Node) -> None:
    """Casts what is gathered of a table in half precision; else a runtime casts all of it at load and keeps it."""
    table, rows = gather.i().inputs[0], gather.outputs[0]
    half = gs.Variable(f"{rows.name}:half", np.dtype(np.float16), rows.shape)
    gather.inputs[0], gather.outputs = table, [half]
    graph.nodes.append(gs.Node("Cast", f"{gather.name}/Cast", {"to": np.float32}, [half], [rows]))


def _integers(name: str, integers: NDArray[np.int8], bits: int) -> gs.Constant:
    if bits == 8:
        return gs.Constant(f"{name}_quantized", integers)
    # A graph writes a tensor proto as it is, but cannot pack an array of 4-bit integers.
    packed = onnx.helper.make_tensor(
        f"{name}_quantized", onnx.TensorProto.INT4, integers.shape, _nibbles(integers), raw=True
    )
    return gs.Constant(packed.name, LazyValues(packed))


def _nibbles(integers: NDArray[np.int8]) -> bytes:
    """Two integers a byte, the first in the lower half."""
    flat = np.pad(integers.ravel(), (0, integers.size % 2)).view(np.uint8) & 15
    return bytes(flat[::2] | flat[1::2] << 4)
