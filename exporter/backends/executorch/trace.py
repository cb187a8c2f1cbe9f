"""Stage -> a graph of ATen operators of bounded size, each node still knowing the module that it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from executorch.exir.passes.constant_prop_pass import constant_prop_pass
from torch import fx

from exporter.backends.executorch.decompositions import DECOMPOSITIONS
from exporter.backends.executorch.packed_products import pack_products
from exporter.pipeline.stage import Stage, TensorSpec

# A phone makes one object at a time, and the buffers of a program are planned for its largest sizes.
LARGEST = {"batch": 1, "points": 4096, "rays": 128}
_EXAMPLE_SIZE = 64


def largest_sizes(inputs: Sequence[TensorSpec]) -> dict[str, int]:
    """How much of each dynamic dimension a program takes at once."""
    return {name: LARGEST.get(name, 1) for spec in inputs for name in spec.shape if isinstance(name, str)}


def trace(stage: Stage) -> fx.GraphModule:
    """The stage's graph with its products in the form that lowers best, ready to be quantized."""
    program = export(stage).run_decompositions(DECOMPOSITIONS)
    return pack_products(constant_prop_pass(program).module())


def export(stage: Stage) -> torch.export.ExportedProgram:
    """A stage as an exported program whose dynamic dimensions end at `largest_sizes`."""
    largest = largest_sizes(stage.inputs)
    dimensions = {name: torch.export.Dim(name, min=1, max=size) for name, size in largest.items() if size > 1}
    shapes: list[Any] = [
        {i: dimensions[d] for i, d in enumerate(spec.shape) if isinstance(d, str) and d in dimensions}
        for spec in stage.inputs
    ]
    if _takes_varargs(stage.module):
        shapes = [shapes[0], tuple(shapes[1:])]
    with torch.no_grad():
        return torch.export.export(stage.module, examples(stage), dynamic_shapes=tuple(shapes), strict=False)


def examples(stage: Stage) -> tuple[torch.Tensor, ...]:
    """Inputs of a stage that are good for its shapes alone."""
    largest = largest_sizes(stage.inputs)
    return tuple(_example(spec, largest) for spec in stage.inputs)


def _example(spec: TensorSpec, largest: Mapping[str, int]) -> torch.Tensor:
    shape = [min(largest[d], _EXAMPLE_SIZE) if isinstance(d, str) else d for d in spec.shape]
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        return torch.zeros(shape, dtype=torch.int64)
    return torch.linspace(-1, 1, max(math.prod(shape), 1)).reshape(shape)


def _takes_varargs(module: torch.nn.Module) -> bool:
    return bool(module.forward.__code__.co_flags & 0x04)
