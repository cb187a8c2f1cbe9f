"""Small traced programs to quantize, and their outputs before and after."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch.nn import functional as F

from exporter.graphs.graph_file import save_graph
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.quantize.prepared import prepared
from exporter.runtime.sessions.onnxruntime import OnnxRuntimeSession
from exporter.trace.onnx import trace

WIDTH = 32


def looked_up(indices, table):
    """The weights that a palette stands for."""
    return table[indices]


class Block(torch.nn.Module):
    """A transformer block without a shortcut around its attention, and a Gemm at the end."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.to_q, self.to_k, self.to_v = (torch.nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = torch.nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.head = torch.nn.Linear(4 * WIDTH, 8)
        self.positions = torch.nn.Parameter(torch.randn(64, WIDTH))

    def forward(self, x):
        h = self.norm(x + F.embedding(x[:, 0, :1].abs().long(), self.positions))
        q, k, v = (to(h).unflatten(-1, (2, -1)).transpose(1, 2) for to in (self.to_q, self.to_k, self.to_v))
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head(F.gelu(self.out(h))[:, 0])


class Attending(torch.nn.Module):
    """One attention of two heads, as `attend(q, k, v)` has it."""

    def __init__(self, attend):
        super().__init__()
        torch.manual_seed(0)
        self.qkv = torch.nn.Linear(WIDTH, 3 * WIDTH)
        self.out = torch.nn.Linear(WIDTH, WIDTH)
        self.attend = attend

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        return self.out(self.attend(q, k, v).transpose(1, 2).flatten(2))


class Rows(torch.nn.Module):
    """One matrix for all rows, whose channels have very different scales."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(WIDTH, 48)
        self.linear.weight.data *= torch.logspace(-3, 0, 48)[:, None]

    def forward(self, x):
        return self.linear(x)


class Batched(torch.nn.Module):
    """A matrix of its own for each row, of very different scales."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(8, WIDTH, 48, generator=torch.Generator().manual_seed(0)))
        self.weight.data *= torch.logspace(-3, 0, 8)[:, None, None]

    def forward(self, x):
        return torch.matmul(x.transpose(0, 1), self.weight).transpose(0, 1)


def traced(module, folder, opset=23):
    """The program of a module that takes x [batch, 8, WIDTH] as stage 'text_encoder'."""
    shape = tuple(module.eval()(torch.zeros(2, 8, WIDTH)).shape[1:])
    specs = (TensorSpec("x", "float32", ("batch", 8, WIDTH)),), (TensorSpec("y", "float32", ("batch", *shape)),)
    return trace(PureModule("text_encoder", module, *specs), opset, folder)


def inputs(batch=3, seed=0):
    return {"x": np.random.default_rng(seed).standard_normal((batch, 8, WIDTH)).astype(np.float32)}


def output(program, arrays):
    return next(iter(OnnxRuntimeSession(program, {}).run(arrays).values()))


def rewritten(program, rewrite, folder):
    """The program after `rewrite(graph)`."""
    graph = prepared(program)
    rewrite(graph)
    return save_graph(graph, folder)


def operators(graph):
    return Counter(node.op for node in graph.nodes)
