"""Backends by name: what turns a model's stages into what the target runs."""

from __future__ import annotations

import importlib
from typing import cast

from exporter.backends.backend import Backend
from exporter.errors import RecipeError
from exporter.targets.target import Target

_BACKENDS = {
    "onnxruntime": "exporter.backends.onnxruntime.onnxruntime_backend",
    "openvino": "exporter.backends.openvino.openvino_backend",
    "tensorrt": "exporter.backends.tensorrt.tensorrt_backend",
    "onnxruntime-web": "exporter.backends.web.web_backend",
    "executorch": "exporter.backends.executorch.executorch_backend",
}


def backend_of(target: Target) -> Backend:
    """The backend of a target. Raises RecipeError for one that cannot be built for."""
    if target.backend not in _BACKENDS:
        raise RecipeError(f"target '{target.name}': the backend '{target.backend}' cannot be built for in this version")
    return cast(Backend, importlib.import_module(_BACKENDS[target.backend]))
