"""The matrix products of a bundle's stages, counted on the traced model without computing anything."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from exporter.runtime.generator import POINTS_AT_ONCE
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from exporter.manifest import Manifest
from exporter.pipeline.pure_module import PureModule
from exporter.pipeline.tensor import TensorSpec
from exporter.recipe.recipe import Recipe
from exporter.targets.target import Target
from exporter.workshop.sources import program_sources
from exporter.workshop.workshop import Workshop
from validate.bench.sides import DIFFUSION, MESH, PROJECTOR, TEXT

# The sizes that a dynamic dimension has while one object is made: the field is asked so many points at once.
ONE_OBJECT = {"batch": 1, "points": POINTS_AT_ONCE}
STAGES = {"text_encoder": TEXT, "denoiser": DIFFUSION, "projector": PROJECTOR, "field": MESH}
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
    """The products of one run of each program: of diffusion's one evaluation, of the field's POINTS_AT_ONCE points."""
    recipe = Recipe.model_validate(manifest.recipe)
    # Where only some evaluations are guided, the program decides by its inputs: counted is one that is.
    sampler = recipe.sampler.model_copy(update={"guidance_interval": None})
    recipe = recipe.model_copy(update={"sampler": sampler})
    workshop = Workshop.open(recipe, Target.model_validate(manifest.target), Cache(), Silent())
    found = {}
    for source in program_sources(workshop.model, workshop.recipe, workshop.table, None):
        name = "denoiser" if source.is_step else source.name
        if name in STAGES:
            found[STAGES[name]] = _count(source.make_stage())
    return found


def _count(stage: PureModule) -> Counted:
    counter = _Counter()
    with FakeTensorMode(allow_non_fake_inputs=True), counter, torch.no_grad():
        stage.module(*(_empty(spec) for spec in stage.inputs))
    return Counted(dict(counter.linear), counter.attention)


def _empty(spec: TensorSpec) -> torch.Tensor:
    shape = [ONE_OBJECT[size] if isinstance(size, str) else size for size in spec.shape]
    return torch.zeros(shape, dtype=getattr(torch, spec.dtype))


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
