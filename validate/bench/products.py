"""The matrix products of a bundle's stages, counted on the traced model without computing anything."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.manifest import Manifest
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import BATCH, TensorSpec
from exporter.recipe.recipe import Recipe
from exporter.runtime.run import AT_ONCE
from exporter.targets.target import Target
from exporter.workshop.sources import program_sources
from exporter.workshop.workshop import Workshop

_ATTENTION = ("scaled_dot_product", "flash_attention")


@dataclass(frozen=True)
class ProductShape:
    """`count` products of [rows, inner] with [inner, columns] at once, as a batch of matrices."""

    rows: int
    inner: int
    columns: int
    count: int = 1

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns * self.count

    def __str__(self) -> str:
        return f"{self.count}x" * (self.count > 1) + f"{self.rows}x{self.inner}x{self.columns}"


@dataclass(frozen=True)
class Counted:
    """The products of one run of a stage: with weights, by shape and how often, and the operations of attention."""

    linear: dict[ProductShape, int]
    attention_operations: int

    @property
    def linear_operations(self) -> int:
        return sum(shape.operations * times for shape, times in self.linear.items())


def count_products(manifest: Manifest) -> dict[str, Counted]:
    """By stage the products of one run: of one evaluation of a sampler, of AT_ONCE points of a field or rays."""
    recipe = Recipe.model_validate(manifest.recipe)
    # Where only some evaluations are guided, the program decides by its inputs: counted is one that is.
    recipe = recipe.with_samplers(lambda sampler: sampler.model_copy(update={"guidance_interval": None}))
    workshop = Workshop.open(recipe, Target.model_validate(manifest.target), Cache(), Silent())
    sources = program_sources(workshop.model, workshop.recipe, workshop.tables, None)
    return {source.name: _count(source.make_module()) for source in sources}


def _count(module: PureModule) -> Counted:
    counter = _Counter()
    with FakeTensorMode(allow_non_fake_inputs=True), counter, torch.no_grad():
        module.module(*(_empty(spec) for spec in module.inputs))
    return Counted(dict(counter.linear), counter.attention)


def _empty(spec: TensorSpec) -> torch.Tensor:
    """With the sizes that one object has."""
    return torch.zeros(spec.sized({BATCH: 1, **AT_ONCE}), dtype=getattr(torch, spec.dtype))


class _Counter(TorchDispatchMode):
    """Sees every operator that a module runs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear: Counter[ProductShape] = Counter()
        self.attention = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__
        if name.startswith(("mm.", "addmm.")):
            left, right = args[-2:]
            self.linear[ProductShape(left.shape[0], left.shape[1], right.shape[1])] += 1
        elif name.startswith(("bmm.", "baddbmm.")):
            left, right = args[-2:]
            shape = ProductShape(left.shape[1], left.shape[2], right.shape[2], left.shape[0])
            self.linear[shape] += 1
        elif any(part in name for part in _ATTENTION):
            query, key, value = args[:3]
            rows, columns = query.shape[-2], key.shape[-2]
            self.attention += 2 * math.prod(query.shape[:-2]) * rows * columns * (query.shape[-1] + value.shape[-1])
        return func(*args, **(kwargs or {}))
