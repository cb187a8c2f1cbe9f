"""Backends by name: what turns a traced program into what the target runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.errors import RecipeError
from exporter.quantize.quantizer import LayerReport
from exporter.target import Target

Compile = Callable[[Path, Sequence[LayerReport], Path], Path]

_COMPILERS = {"onnxruntime": "exporter.backends.onnxruntime"}


def compiler_for(target: Target) -> Compile:
    """`compile_program(program, layers, folder)` of the target's backend: writes what runs into `folder`, its path.

    Raises RecipeError for a backend that cannot be built for.
    """
    if target.backend not in _COMPILERS:
        raise RecipeError(f"target '{target.name}': the backend '{target.backend}' cannot be built for in this version")
    compile_program: Compile = importlib.import_module(_COMPILERS[target.backend]).compile_program
    return compile_program
