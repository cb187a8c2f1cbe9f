from __future__ import annotations

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.backends.onnxruntime.fusion import optimized
from exporter.graphs.graph_file import read_graph, save_graph
from exporter.quantize.palette import pack, write_palette


def program(folder, *palettes):
    """A program that adds each of the palettes, (indices, table), to x."""
    x = gs.Variable("x", np.dtype(np.float32), ("batch",))
    graph = gs.Graph(inputs=[x], opset=23, ir_version=10)
    graph.ir_version = 10
    for i, (indices, table) in enumerate(palettes):
        values = write_palette(graph, f"weight_{i}", indices, table)
        y = gs.Variable(f"y_{i}", np.dtype(np.float32), indices.shape)
        graph.nodes.append(gs.Node("Add", f"add_{i}", inputs=[values, x], outputs=[y]))
        graph.outputs.append(y)
    return save_graph(graph, folder)


def run(path, level=ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros(1, np.float32)})


def random(shape, bits, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 2**bits, shape, np.uint8), np.sort(generator.standard_normal(2**bits, np.float32))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("shape", [(8, 16), (7, 3), (1,), (2, 3, 5)], ids=str)
def test_the_program_looks_every_index_up(tmp_path, bits, shape):
    indices, table = random(shape, bits)
    path = program(tmp_path, (indices, table))
    onnx.checker.check_model(path, full_check=True)
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        np.testing.assert_array_equal(run(path, level)[0], table[indices])


def test_it_is_looked_up_once_when_the_program_is_loaded(tmp_path):
    path = program(tmp_path, *(random((32, 16), bits) for bits in (2, 3, 6)), random((5, 3), 4))
    assert {node.op_type for node in optimized(path).graph.node} == {"Add"}


@given(st.integers(1, 6), st.integers(1, 100), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_an_index_takes_its_bits_and_no_more(bits, size, seed):
    indices = random((size,), bits, seed)[0]
    planes = pack(indices, bits)
    assert sum(plane.size for plane in planes) <= -(-size // 8) * bits
    low = planes[0].ravel()
    width = 4 if bits >= 4 else 2 if bits >= 2 else 1
    for i, index in enumerate(indices):
        field = (int(low[i * width // 8]) >> (i * width % 8)) & (2**width - 1)
        assert field == int(index) & (2**width - 1)


def test_layers_share_a_function_which_survives_another_rewrite(tmp_path):
    first, second = random((8, 8), 3), random((8, 8), 3, seed=1)
    path = program(tmp_path / "a", first, second)
    assert [function.name for function in onnx.load(path).functions] == ["Palette3"]
    again = save_graph(read_graph(path), tmp_path / "b")
    for found, (indices, table) in zip(run(again), (first, second), strict=True):
        np.testing.assert_array_equal(found, table[indices])


def test_the_function_costs_a_few_kilobytes(tmp_path):
    for bits in range(1, 7):
        assert program(tmp_path / str(bits), random((2, 2), bits)).stat().st_size < 20_000


@pytest.mark.parametrize("count", [1, 3, 128])
def test_a_table_of_another_size_is_refused(count):
    with pytest.raises(ValueError, match=f"w: a palette has 2, 4, 8, 16, 32 or 64 values, not {count}"):
        write_palette(gs.Graph(opset=23), "w", np.zeros((2, 2), np.uint8), np.zeros(count, np.float32))
