"""What one program of a bundle is: a pure module with the specs of its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# What the stages of any family are called; a layer's name begins with its stage's.
STAGES = ("text_encoder", "denoiser", "projector", "field", "renderer")


@dataclass(frozen=True)
class TensorSpec:
    """Name, numpy dtype and shape of a tensor; a string in the shape names a dynamic dimension.

    The same name means the same size wherever it occurs in one stage (`batch`, `points`, `rays`).
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The spec as JSON data: name, dtype and shape."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Stage:
    """One program: a module that takes its inputs and gives its outputs by position, in the order of the specs.

    The module is pure (no state, no randomness) and runs in float32 in evaluation mode. Inputs are wired by name at
    run time: a stage takes the tensors that it names from those that came before it.
    """

    name: str
    module: torch.nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
