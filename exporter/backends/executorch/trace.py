"""A pure module -> a graph of ATen operators of bounded size, each node still knowing the module that it comes from."""

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
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import BATCH, POINTS, POINTS_AT_ONCE, RAYS, TensorSpec

# A phone makes one object at a time, and the buffers of a program are planned for its largest sizes.
LARGEST = {BATCH: 1, POINTS: POINTS_AT_ONCE, RAYS: 128}
_EXAMPLE_SIZE = 64


def largest_sizes(inputs: Sequence[TensorSpec]) -> dict[str, int]:
    """How much of each dynamic dimension a program takes at once."""
    return {name: LARGEST[name] for spec in inputs for name in spec.shape if isinstance(name, str)}


def trace(stage: PureModule) -> fx.GraphModule:
    """The stage's graph with its products in the form that lowers best, ready to be quantized."""
    program = export(stage).run_decompositions(DECOMPOSITIONS)
    return pack_products(constant_prop_pass(program).module())


def export(stage: PureModule) -> torch.export.ExportedProgram:
    """A stage as an exported program whose dynamic dimensions end at `largest_sizes`."""
    largest = largest_sizes(stage.inputs)
    dimensions = {name: torch.export.Dim(name, min=1, max=size) for name, size in largest.items() if size > 1}
    shapes: list[Any] = [
        {i: dimensions[d] for i, d in enumerate(spec.shape) if isinstance(d, str) and d in dimensions}
        for spec in stage.inputs
    ]
    with torch.no_grad():
        return torch.export.export(stage.module, examples(stage), dynamic_shapes=stage.grouped(shapes), strict=False)


def examples(stage: PureModule) -> tuple[torch.Tensor, ...]:
    """Inputs of a stage that are good for its shapes alone."""
    largest = largest_sizes(stage.inputs)
    return tuple(_example(spec, largest) for spec in stage.inputs)


def _example(spec: TensorSpec, largest: Mapping[str, int]) -> torch.Tensor:
    shape = [min(largest[d], _EXAMPLE_SIZE) if isinstance(d, str) else d for d in spec.shape]
    if np.issubdtype(np.dtype(spec.dtype), np.integer):
        return torch.zeros(shape, dtype=torch.int64)
    return torch.linspace(-1, 1, max(math.prod(shape), 1)).reshape(shape)
