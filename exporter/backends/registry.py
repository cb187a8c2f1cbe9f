"""Backends by name: what turns a model's stages into what the target runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

from exporter.backends.base import Backend
from exporter.backends.executorch.refusals import REFUSED as REFUSED_BY_EXECUTORCH
from exporter.errors import RecipeError
from exporter.target import Target

_BACKENDS = {
    "onnxruntime": "exporter.backends.onnxruntime",
    "executorch": "exporter.backends.executorch.backend",
}
_REFUSED = {"executorch": REFUSED_BY_EXECUTORCH}


def backend_of(target: Target) -> Backend:
    """The backend of a target. Raises RecipeError for one that cannot be built for."""
    if target.backend not in _BACKENDS:
        raise RecipeError(f"target '{target.name}': the backend '{target.backend}' cannot be built for in this version")
    return cast(Backend, importlib.import_module(_BACKENDS[target.backend]))


def refused_by(target: Target) -> Mapping[str, str]:
    """What a target's backend does not take, by the recipe's word for it, with the reason."""
    return _REFUSED.get(target.backend, {})
