"""Programs on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import BundleError, EnvironmentProblem
from exporter.machine.onnxruntime_packages import installed_distributions
from exporter.machine.processor import this_processor, threads_to_use
from exporter.runtime.sessions.onnxruntime_bound import BoundRuns

ON_CPU: dict[str, Any] = {"providers": ["CPUExecutionProvider"], "bind": None}
BOTH_INSTALLED = (
    "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files. Uninstall both, then install "
    "one: `pip uninstall -y onnxruntime onnxruntime-gpu`, then `pip install 't3export[cpu]'` or `'t3export[gpu]'`"
)
EXACT_SUMS = {"session.x64quantprecision": "1"}
OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory", "CUDA out of memory")
NONE_INSTALLED = "ONNX Runtime is not installed: `pip install 't3export[cpu]'` (or `'t3export[gpu]'`)"


def require_one_distribution() -> None:
    """Raises EnvironmentProblem unless exactly one ONNX Runtime package is installed."""
    found = installed_distributions()
    if len(found) != 1:
        raise EnvironmentProblem(BOTH_INSTALLED if found else NONE_INSTALLED)


def exact_sums() -> dict[str, str]:
    """The session entries with which products of INT8 are right on this processor: UINT8 times INT8 is added up in 16
    bits where there is no VNNI, UINT8 times UINT8 nowhere. The small model's projector keeps 22 dB without them, and 48
    dB with them. With VNNI they would only cost time."""
    return EXACT_SUMS if this_processor().int8_sums_may_overflow else {}


class OnnxRuntimeSession:
    """An ONNX program; `options` are the `session` section of a target.

    With `packed: False` weights stay where they are: those beside the program are then mapped from their file, page by
    page when they are first needed, and products are somewhat slower.
    """

    def __init__(self, program: Path, options: dict[str, Any]) -> None:
        require_one_distribution()
        import onnxruntime as ort

        levels = {
            "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
            "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
            "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
            "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
        }
        settings = ort.SessionOptions()
        settings.graph_optimization_level = levels[options.get("graph_optimization", "all")]
        # Its warnings are about its own optimizations; what matters raises.
        settings.log_severity_level = 3
        settings.intra_op_num_threads = threads_to_use(options.get("threads", 0))
        if not options.get("packed", True):
            settings.add_session_config_entry("session.disable_prepacking", "1")
        providers = options.get("providers") or ON_CPU["providers"]
        for key, value in (exact_sums() | options.get("config", {})).items():
            settings.add_session_config_entry(key, value)
        provider_options = [options.get("provider_options", {}).get(name, {}) for name in providers]
        if providers[0] == "CPUExecutionProvider":
            # Plans of the buffers for every shape seen keep memory and save no time there.
            settings.enable_mem_pattern = False
        try:
            self._session = ort.InferenceSession(str(program), settings, providers, provider_options)
        except Exception as error:
            raise BundleError(f"{program}: ONNX Runtime {ort.__version__} cannot open it: {error}") from None
        self._require_provider(providers[0])
        self.input_names = tuple(tensor.name for tensor in self._session.get_inputs())
        self.output_names = tuple(tensor.name for tensor in self._session.get_outputs())
        device = options.get("bind")
        self._bound = BoundRuns(self._session, device) if device else None

    def _require_provider(self, wanted: str) -> None:
        # ONNX Runtime falls back to the CPU with nothing but a log line.
        if self._session.get_providers()[0] != wanted:
            raise EnvironmentProblem(
                f"{wanted} is not available here; ONNX Runtime fell back to {self._session.get_providers()[0]}. "
                "Run `t3export doctor` to see what is missing"
            )

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name.

        Raises BundleError that names the inputs when one is missing or does not fit, MemoryError.
        """
        missing = [name for name in self.input_names if name not in arrays]
        if missing:
            raise BundleError(f"the program needs {', '.join(missing)}; it was given {', '.join(sorted(arrays))}")
        inputs = {name: np.ascontiguousarray(arrays[name]) for name in self.input_names}
        try:
            found = self._bound.run(inputs) if self._bound else self._session.run(None, inputs)
        # What ONNX Runtime raises has no class in common below this one.
        except Exception as error:
            if any(words in str(error) for words in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from None
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
            raise BundleError(f"ONNX Runtime cannot run the program on {shapes}: {error}") from None
        return dict(zip(self.output_names, found, strict=True))
