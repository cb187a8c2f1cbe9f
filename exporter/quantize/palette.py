"""Weights stored as packed indices into a short table (Han et al., arXiv 1510.00149), for the smallest download.

A model-local function turns them back into floats; its inputs are constants, so ONNX Runtime does that once, at load.
Indices of 3, 5 or 6 bits are stored as two planes, whose widths divide a byte. One look-up yields all the weights of a
byte, which keeps the memory at load down.
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs
from numpy.typing import NDArray

from exporter.quantize.rounding import Floats

DOMAIN = "t3export"

Bytes = NDArray[np.uint8]


def write_palette(graph: gs.Graph, name: str, indices: Bytes, table: Floats) -> gs.Variable:
    """Adds `indices` of any shape into `table` [2**bits] to a graph; the tensor of the values they stand for.

    Raises ValueError for a table of other than 2 to 64 values.
    """
    bits = len(table).bit_length() - 1
    if len(table) != 2**bits or not 1 <= bits <= 6:
        raise ValueError(f"{name}: a palette has 2, 4, 8, 16, 32 or 64 values, not {len(table)}")
    function = _function(graph, bits)
    stored = [gs.Constant(f"{name}_indices_{i}", plane) for i, plane in enumerate(pack(indices, bits))]
    inputs = [*stored, gs.Constant(f"{name}_table", table.astype(np.float32))]
    values = gs.Variable(f"{name}/{function.name}:0", np.dtype(np.float32))
    graph.nodes.append(
        gs.Node(function.name, f"{name}/{function.name}", inputs=inputs, outputs=[values], domain=DOMAIN)
    )
    if stored[0].values.size * _per_byte(bits) != indices.size:
        values = _add(graph, "Reshape", f"{name}/Flat", values, np.array([-1]))
        values = _add(graph, "Slice", f"{name}/Slice", values, np.array([0]), np.array([indices.size]))
    return _add(graph, "Reshape", f"{name}/Reshape", values, np.array(indices.shape, np.int64))


def pack(indices: Bytes, bits: int) -> list[Bytes]:
    """The indices' low bits, and where `bits` is 3, 5 or 6 their high bits: bytes [n], or [n, r] and [n].

    The first index stands in the lowest bits of a byte; the last byte is filled with zeros.
    """
    flat = indices.ravel()
    widths, share = _widths(bits), 8 // _widths(bits)[-1]
    flat = np.pad(flat, (0, -flat.size % share))
    planes = []
    for i, width in enumerate(widths):
        part = (flat >> sum(widths[:i])) & (2**width - 1)
        fields = part.reshape(-1, 8 // width) << (width * np.arange(8 // width, dtype=np.uint8))
        planes.append(np.bitwise_or.reduce(fields, axis=1))
    return [planes[0]] if len(planes) == 1 else [planes[0].reshape(len(planes[1]), -1), planes[1]]


def _widths(bits: int) -> list[int]:
    """Powers of two that add up to `bits`, largest first."""
    return [width for width in (4, 2, 1) if bits & width]


def _per_byte(bits: int) -> int:
    return 8 // _widths(bits)[0]


def _function(graph: gs.Graph, bits: int) -> gs.Function:
    """The function of a graph that looks indices of n bits up; added when it is not there."""
    name = f"Palette{bits}"
    known = [function for function in graph.functions if (function.domain, function.name) == (DOMAIN, name)]
    if known:
        return known[0]
    planes = [gs.Variable(f"indices_{i}", np.dtype(np.uint8)) for i in range(len(_widths(bits)))]
    table, values = gs.Variable("table", np.dtype(np.float32)), gs.Variable("values", np.dtype(np.float32))
    function = gs.Function(name, DOMAIN, inputs=[*planes, table], outputs=[values], opset=graph.opset)
    symbol = _add(function, "Cast", "symbol", planes[0], to=np.int32)
    codes = _fields(_widths(bits)[0])
    if len(planes) == 2:
        # The high bits of the weights of one low byte are a symbol of their own; it counts in steps of 256.
        width = _widths(bits)[1] * _per_byte(bits)
        high = _add(function, "Cast", "high", planes[1], to=np.int32)
        high = _add(function, "Gather", "steps", _fields(width) * 256, high)
        symbol = _add(function, "Add", "joint", symbol, high)
        above = _fields(_widths(bits)[1])[: 2**width, : _per_byte(bits)] << _widths(bits)[0]
        codes = _add(function, "Add", "all_codes", above[:, None], codes[None])
        codes = _add(function, "Reshape", "codes", codes, np.array([-1, _per_byte(bits)]))
    of_symbol = _add(function, "Gather", "of_symbol", table, codes)
    function.nodes.append(gs.Node("Gather", "values", inputs=[of_symbol, symbol], outputs=[values]))
    graph.functions.append(function)
    return function


def _fields(width: int) -> NDArray[np.int32]:
    """The fields [256, 8 / width] of every byte, lowest first."""
    shifts = width * np.arange(8 // width, dtype=np.int32)
    return (np.arange(256, dtype=np.int32)[:, None] >> shifts) & (2**width - 1)


def _add(graph: gs.Graph, op: str, name: str, *inputs: gs.Tensor | np.ndarray, **attributes: object) -> gs.Variable:
    """One more node; arrays among its inputs become constants of its name. Its output."""
    tensors = [
        value if isinstance(value, gs.Tensor) else gs.Constant(f"{name}:constant_{i}", value)
        for i, value in enumerate(inputs)
    ]
    output = gs.Variable(f"{name}:0")
    graph.nodes.append(gs.Node(op, name, attributes, tensors, [output]))
    return output
