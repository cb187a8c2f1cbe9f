"""A session runs one program: named arrays in, named arrays out. One class a backend, imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from exporter.errors import BundleError


class Session(Protocol):
    """One opened program. Threads may share it: a runtime that takes one call at a time is given them in turn."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """The arrays that `run` takes from what it is given."""

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name. Arrays that are no input of the program are left alone."""


def keeps_plans(backend: str, options: dict[str, Any]) -> bool:
    """Whether what runs a program keeps, or makes anew, a plan for every shape that its inputs have had."""
    on_processor = options.get("providers", [])[:1] in ([], ["CPUExecutionProvider"])
    return backend in ("openvino", "tensorrt") or (backend == "onnxruntime" and not on_processor)


def open_session(backend: str, program: Path, options: dict[str, Any]) -> Session:
    """A session of the target's backend with the target's session options.

    Raises BundleError for a backend this runtime cannot open, EnvironmentProblem where its package is missing.
    """
    if backend in ("onnxruntime", "onnxruntime-web"):
        from exporter.runtime.sessions.onnxruntime import ON_CPU, OnnxRuntimeSession

        # Out of a browser ONNX Runtime itself runs what ONNX Runtime Web would: the same file, the same sources.
        return OnnxRuntimeSession(program, options if backend == "onnxruntime" else options | ON_CPU)
    if backend == "openvino":
        from exporter.runtime.sessions.openvino import OpenVinoSession

        return OpenVinoSession(program, options)
    if backend == "executorch":
        from exporter.runtime.sessions.executorch import ExecuTorchSession

        return ExecuTorchSession(program, options)
    if backend == "tensorrt":
        from exporter.runtime.sessions.tensorrt import TensorRtSession

        return TensorRtSession(program)
    raise BundleError(f"{program}: built for the backend '{backend}', which is opened on its own device, not here")
