"""A traced program as the graph that is quantized."""

from __future__ import annotations

from pathlib import Path

import onnx_graphsurgeon as gs

from exporter.graphs.graph_file import read_graph
from exporter.graphs.rewrites import Rewritten
from exporter.passes.gemm_to_matmul import gemm_to_matmul


def prepared(program: Path) -> gs.Graph:
    """A traced program as the graph that is quantized: every product with a weight is a MatMul."""
    return prepared_and_counted(program)[0]


def prepared_and_counted(program: Path) -> tuple[gs.Graph, Rewritten]:
    """The same graph, and what was rewritten for it."""
    graph = read_graph(program)
    return graph, gemm_to_matmul(graph)
