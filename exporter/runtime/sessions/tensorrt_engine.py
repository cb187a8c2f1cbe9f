"""A TensorRT engine, numpy in and numpy out. numpy, tensorrt and CUDA's runtime library, nothing else.

This file goes into kits as it is, beside `cuda_runtime.py`: Python 3.10 and numpy 1.26 on a Jetson, nothing of ours.
Written against the API that TensorRT 10.3 and 11 share.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

try:
    from exporter.runtime.sessions.cuda_runtime import TO_DEVICE, TO_HOST, CudaRuntime
except ImportError:  # in a kit
    from cuda_runtime import TO_DEVICE, TO_HOST, CudaRuntime  # type: ignore[no-redef]

Arrays = dict[str, np.ndarray]
WARM_UP = 3


class EngineError(Exception):
    """An engine that TensorRT cannot open here or that failed."""


class Engine:
    """One engine. Arrays larger than its optimization profile run in parts."""

    def __init__(self, plan: Path) -> None:
        """Raises EngineError for a plan of another TensorRT or another GPU, CudaError without CUDA."""
        import tensorrt

        self._trt = tensorrt
        self._cuda = CudaRuntime()
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise EngineError(
                f"{plan}: TensorRT {tensorrt.__version__} cannot open it here; engines run on the GPU and with the "
                "TensorRT they were built with. Build it again: bash build_engines.sh"
            )
        self._context = self._engine.create_execution_context()
        self._stream = self._cuda.stream()
        self._memory: dict[str, tuple[int, int]] = {}
        self._host: Arrays = {}
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        is_input = {name: self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT for name in names}
        self.input_names = tuple(name for name in names if is_input[name])
        self.output_names = tuple(name for name in names if not is_input[name])

    def run(self, arrays: Arrays) -> Arrays:
        """All outputs by name. Raises EngineError that names a missing input."""
        missing = [name for name in self.input_names if name not in arrays]
        if missing:
            raise EngineError(f"the engine needs {', '.join(missing)}; it was given {', '.join(sorted(arrays))}")
        given = {name: np.asarray(arrays[name]) for name in self.input_names}
        for axis in (0, 1):
            parts = self._parts(given, axis)
            if parts:
                found = [self.run(part) for part in parts]
                return {name: np.concatenate([one[name] for one in found], axis) for name in self.output_names}
        self._bind(given)
        self._execute()
        return {name: self._fetch(name) for name in self.output_names}

    def seconds(self, arrays: Arrays, repeats: int) -> list[float]:
        """Wall-clock times of the engine alone, its inputs on the device already; the first runs are not counted."""
        self._bind({name: np.asarray(arrays[name]) for name in self.input_names})
        times = []
        for _ in range(WARM_UP + repeats):
            start = time.perf_counter()
            self._execute()
            times.append(time.perf_counter() - start)
        return times[WARM_UP:]

    @property
    def memory_bytes(self) -> int:
        """Device memory that one run needs beside the weights."""
        return int(self._engine.device_memory_size_v2)

    def layer_information(self, arrays: Arrays) -> str:
        """JSON about each layer. Types are told only where shapes are known, so the inputs are bound first."""
        self._bind({name: np.asarray(arrays[name]) for name in self.input_names})
        inspector = self._engine.create_engine_inspector()
        inspector.execution_context = self._context
        return str(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))

    def close(self) -> None:
        """Give the device memory back."""
        for address, _ in self._memory.values():
            self._cuda.free(address)
        self._memory.clear()

    def _parts(self, given: Arrays, axis: int) -> list[Arrays]:
        """The inputs cut along an axis where one is longer there than the profile allows; none where all fit."""
        most = {}
        for name in given:
            shape = tuple(self._engine.get_tensor_shape(name))
            if len(shape) > axis and shape[axis] == -1:
                most[name] = tuple(self._engine.get_tensor_profile_shape(name, 0)[2])[axis]
        length = max((given[name].shape[axis] for name in most), default=0)
        step = min(most.values(), default=0)
        if length <= step:
            return []
        cut = {name for name in most if given[name].shape[axis] == length}
        places = range(0, length, step)
        return [{n: a.take(range(i, min(i + step, length)), axis) if n in cut else a for n, a in given.items()}
                for i in places]  # fmt: skip

    def _bind(self, given: Arrays) -> None:
        """Copy inputs to the device, make room for the outputs, and tell the context where all of it is."""
        for name, array in given.items():
            kind = self._trt.nptype(self._engine.get_tensor_dtype(name))
            self._host[name] = np.ascontiguousarray(array, dtype=kind)
            if not self._context.set_input_shape(name, tuple(array.shape)):
                raise EngineError(f"input '{name}': the engine takes no shape {list(array.shape)}")
            self._place(name, self._host[name])
            if not self._on_host(name):
                self._cuda.copy(self._memory[name][0], self._host[name].ctypes.data, self._host[name].nbytes, TO_DEVICE)
        for name in self.output_names:
            kind = self._trt.nptype(self._engine.get_tensor_dtype(name))
            self._host[name] = np.empty(tuple(self._context.get_tensor_shape(name)), kind)
            self._place(name, self._host[name])

    def _place(self, name: str, array: np.ndarray) -> None:
        """Memory for one tensor, kept from run to run while it is large enough."""
        if self._on_host(name):
            self._context.set_tensor_address(name, array.ctypes.data)
            return
        address, size = self._memory.get(name, (0, -1))
        if size < array.nbytes:
            if address:
                self._cuda.free(address)
            self._memory[name] = self._cuda.allocate(array.nbytes), array.nbytes
        self._context.set_tensor_address(name, self._memory[name][0])

    def _on_host(self, name: str) -> bool:
        return bool(self._engine.get_tensor_location(name) == self._trt.TensorLocation.HOST)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise EngineError("TensorRT failed to run the engine; its own message is above")
        self._cuda.wait(self._stream)

    def _fetch(self, name: str) -> np.ndarray:
        host = self._host[name]
        if not self._on_host(name):
            self._cuda.copy(host.ctypes.data, self._memory[name][0], host.nbytes, TO_HOST)
        return host.copy()
