"""Programs on OpenVINO's CPU plugin, by its own package; ONNX Runtime's provider for it lags behind."""

from __future__ import annotations

import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import BundleError, EnvironmentProblem
from exporter.machine.mapped_files import give_back
from exporter.machine.processor import this_processor, threads_to_use

NOT_INSTALLED = "OpenVINO is not installed: `pip install 't3export[openvino]'`"
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
INTEGER_PRODUCTS = {"LP_TRANSFORMS_MODE": "YES"}
FLOAT_PRODUCTS = {"LP_TRANSFORMS_MODE": "NO"}


class OpenVinoSession:
    """An ONNX program; `options` are the `session` section of a target.

    OpenVINO maps weights beside a program from their file, and packs a copy of them on the first run of each shape: the
    mapped pages, which nothing reads any more, are given back then.

    Raises BundleError for a program that OpenVINO cannot open, EnvironmentProblem without OpenVINO.
    """

    def __init__(self, program: Path, options: dict[str, Any]) -> None:
        core = _core()
        try:
            # Read by the runtime itself: the package's converter would report to its maker.
            model = core.read_model(str(program))
            # Compiled, a port may be known by the names of tensors inside as well.
            self.input_names = tuple(port.any_name for port in model.inputs)
            self.output_names = tuple(port.any_name for port in model.outputs)
            self.compiled = core.compile_model(model, "CPU", _settings(options))
        except RuntimeError as error:
            raise BundleError(f"{program}: OpenVINO cannot open it: {error}") from None
        self._request = self.compiled.create_infer_request()
        # A request is one run's; several would share the processor's cores and each keep buffers of its own.
        self._turn = threading.Lock()
        self._folder = program.parent
        self._shapes: set[tuple[tuple[int, ...], ...]] = set()
        give_back(self._folder)

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name. Raises BundleError that names the inputs when one is missing or does not fit."""
        missing = [name for name in self.input_names if name not in arrays]
        if missing:
            raise BundleError(f"the program needs {', '.join(missing)}; it was given {', '.join(sorted(arrays))}")
        inputs = {name: np.asarray(arrays[name], order="C") for name in self.input_names}
        try:
            with self._turn:
                found = self._request.infer(inputs, share_inputs=True)
                self._give_back(tuple(array.shape for array in inputs.values()))
        except RuntimeError as error:
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
            raise BundleError(f"OpenVINO cannot run the program on {shapes}: {error}") from None
        return dict(zip(self.output_names, found.values(), strict=True))

    def _give_back(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        if shapes not in self._shapes:
            self._shapes.add(shapes)
            give_back(self._folder)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Left to itself OpenVINO computes in bfloat16 where it can, and quantizes the activations of stored integers.

    Without VNNI it adds products of INT8 up in 16 bits, which saturates: there what was quantized is multiplied in
    floats, the numbers that it stands for.
    """
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": PRECISIONS[options.get("inference_precision", "fp32")],
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    }
    if threads := threads_to_use(options.get("threads", 0)):
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    products = FLOAT_PRODUCTS if this_processor().int8_sums_may_overflow else INTEGER_PRODUCTS
    return settings | products | options.get("config", {})


@cache
def _core() -> Any:
    if find_spec("openvino") is None:
        raise EnvironmentProblem(NOT_INSTALLED)
    import openvino

    return openvino.Core()
