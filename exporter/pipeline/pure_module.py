"""What is traced: a pure module with the specs of its inputs and outputs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.pipeline.tensor import TensorSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PureModule:
    """A module that takes its inputs and gives its outputs by position, in the order of the specs.

    It has no state and no randomness, and runs in float32 in evaluation mode. `root`: the module inside it whose layers
    are named as if they were its own.
    """

    name: str
    module: torch.nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    root: str = ""

    def grouped(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """One value an input as torch.export wants them: those that `*args` takes in a tuple of their own."""
        code = self.module.forward.__code__
        if not code.co_flags & inspect.CO_VARARGS:
            return tuple(values)
        named = code.co_argcount - 1
        return (*values[:named], tuple(values[named:]))
