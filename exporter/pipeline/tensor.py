"""Tensors as they are declared: a name, an element type, and a shape in which a word stands for a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

# The words that a shape may hold: objects made together, points that a field and rays that a renderer is evaluated at.
BATCH, POINTS, RAYS = WORDS = ("batch", "points", "rays")
# What a layer of 256 makes of that many points stays in a processor's second cache: 1.1 to 1.25 times as fast as 32768.
POINTS_AT_ONCE = 4096
RAYS_AT_ONCE = 4096


@dataclass(frozen=True)
class TensorSpec:
    """Name, numpy dtype and shape of a tensor; a string in the shape names a dynamic dimension.

    The same name means the same size wherever it occurs in one stage.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The spec as JSON data: name, dtype and shape."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    def sized(self, sizes: dict[str, int]) -> tuple[int, ...]:
        """The shape with these sizes of its words."""
        return tuple(sizes[size] if isinstance(size, str) else size for size in self.shape)
