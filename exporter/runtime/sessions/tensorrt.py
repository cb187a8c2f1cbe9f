"""Programs on TensorRT: an engine that was built on this very device."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from exporter.errors import BundleError, EnvironmentProblem
from exporter.runtime.sessions.cuda_runtime import CudaError
from exporter.runtime.sessions.tensorrt_engine import Engine, EngineError


class TensorRtSession:
    """An engine as a session."""

    def __init__(self, plan: Path) -> None:
        """Raises EnvironmentProblem without TensorRT or a GPU, BundleError for an engine that is not this device's."""
        try:
            self._engine = Engine(plan)
        except ModuleNotFoundError as error:
            raise EnvironmentProblem(
                f"{plan}: this Python has no package '{error.name}'. On a Jetson it belongs to the system's Python "
                "(`sudo apt install python3-libnvinfer`; make the environment with --system-site-packages), elsewhere "
                "`pip install tensorrt`"
            ) from None
        except CudaError as error:
            raise EnvironmentProblem(f"{plan}: no GPU can be used here: {error}") from None
        except EngineError as error:
            raise BundleError(str(error)) from None
        self.input_names = self._engine.input_names
        self._turn = threading.Lock()

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name. Raises BundleError that names a missing input or a wrong shape."""
        try:
            with self._turn:
                return self._engine.run(arrays)
        except EngineError as error:
            raise BundleError(str(error)) from None
