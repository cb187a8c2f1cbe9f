"""Optimization profiles: from which to which size each dynamic dimension of a stage goes, and which is usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exporter.pipeline.tensor import BATCH, POINTS, POINTS_AT_ONCE, RAYS, RAYS_AT_ONCE, TensorSpec


@dataclass(frozen=True)
class Sizes:
    """Least, usual and largest size of a dynamic dimension."""

    least: int
    usual: int
    most: int


def sizes_of(inputs: Sequence[TensorSpec], objects: int) -> dict[str, Sizes]:
    """Sizes of the dynamic dimensions of a stage, by name; `objects`: how many are sampled together.

    The field and the renderer see one object at a time and many points or rays of it; the other stages see as many
    objects as are sampled together. What is larger than the largest size is run in parts.
    """
    many = {POINTS: Sizes(1, POINTS_AT_ONCE, POINTS_AT_ONCE), RAYS: Sizes(1, RAYS_AT_ONCE, RAYS_AT_ONCE)}
    names = {size for spec in inputs for size in spec.shape if isinstance(size, str)}
    return many | {BATCH: Sizes(1, 1, 1 if names & many.keys() else objects)}


def shapes_of(inputs: Sequence[TensorSpec], objects: int) -> dict[str, dict[str, Any]]:
    """By input: its dtype, whether it is dynamic, and its shapes 'min', 'opt' and 'max'."""
    sizes = sizes_of(inputs, objects)

    def shape(spec: TensorSpec, part: str) -> list[int]:
        return [getattr(sizes[size], part) if isinstance(size, str) else size for size in spec.shape]

    return {
        spec.name: {
            "dtype": spec.dtype,
            "dynamic": any(isinstance(size, str) for size in spec.shape),
            "min": shape(spec, "least"),
            "opt": shape(spec, "usual"),
            "max": shape(spec, "most"),
        }
        for spec in inputs
    }


def trtexec_shapes(inputs: dict[str, dict[str, Any]]) -> list[str]:
    """The profile as trtexec's options, empty for a stage without dynamic dimensions."""
    dynamic = {name: shapes for name, shapes in inputs.items() if shapes["dynamic"]}
    if not dynamic:
        return []
    told = {
        part: ",".join(f"{name}:{'x'.join(map(str, shapes[part]))}" for name, shapes in dynamic.items())
        for part in ("min", "opt", "max")
    }
    return [f"--{part}Shapes={shapes}" for part, shapes in told.items()]
