"""A traced program as the graph that is quantized."""

from __future__ import annotations

from pathlib import Path

import onnx_graphsurgeon as gs

from exporter.graphs.graph_file import read_graph
from exporter.passes.gemm_to_matmul import gemm_to_matmul


def prepared(program: Path) -> gs.Graph:
    """A traced program as the graph that is quantized: every product with a weight is a MatMul."""
    graph = read_graph(program)
    gemm_to_matmul(graph)
    return graph
