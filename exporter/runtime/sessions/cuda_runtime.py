"""CUDA's runtime library by ctypes: device memory, a stream, and what the GPU is. No package is needed.

This file goes into kits as it is: Python 3.10 and the standard library, nothing of ours.
"""

from __future__ import annotations

import ctypes
import ctypes.util

TO_DEVICE, TO_HOST = 1, 2
MAJOR, MINOR = 75, 76
NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "/usr/local/cuda/lib64/libcudart.so")


class CudaError(Exception):
    """CUDA is missing, or a call of it failed."""


class CudaRuntime:
    """The few calls that running an engine needs. Raises CudaError where CUDA is missing or a call fails."""

    def __init__(self) -> None:
        self._library = _load()

    def allocate(self, size: int) -> int:
        """Address of `size` bytes of device memory."""
        address = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        return address.value or 0

    def free(self, address: int) -> None:
        self._call("cudaFree", ctypes.c_void_p(address))

    def copy(self, to: int, source: int, size: int, direction: int) -> None:
        """Copy bytes between host and device; TO_DEVICE or TO_HOST."""
        self._call("cudaMemcpy", ctypes.c_void_p(to), ctypes.c_void_p(source), ctypes.c_size_t(size), direction)

    def stream(self) -> int:
        """Handle of a new stream."""
        handle = ctypes.c_void_p()
        self._call("cudaStreamCreate", ctypes.byref(handle))
        return handle.value or 0

    def wait(self, stream: int) -> None:
        """Until all work of a stream is done."""
        self._call("cudaStreamSynchronize", ctypes.c_void_p(stream))

    @property
    def compute_capability(self) -> str:
        """Of the first GPU, such as '8.7'."""
        return ".".join(str(self._number("cudaDeviceGetAttribute", part, 0)) for part in (MAJOR, MINOR))

    @property
    def versions(self) -> dict[str, str]:
        """CUDA's runtime, and the newest CUDA that the driver knows."""
        calls = {"cuda": "cudaRuntimeGetVersion", "driver_cuda": "cudaDriverGetVersion"}
        numbers = {name: self._number(call) for name, call in calls.items()}
        return {name: f"{number // 1000}.{number % 1000 // 10}" for name, number in numbers.items()}

    def _number(self, name: str, *arguments: int) -> int:
        value = ctypes.c_int()
        self._call(name, ctypes.byref(value), *arguments)
        return value.value

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            told = self._library.cudaGetErrorString
            told.restype = ctypes.c_char_p
            raise CudaError(f"{name}: {(told(status) or b'').decode()} ({status})")


def _load() -> ctypes.CDLL:
    for name in (*NAMES, ctypes.util.find_library("cudart")):
        try:
            return ctypes.CDLL(name) if name else _missing()
        except OSError:
            continue
    return _missing()


def _missing() -> ctypes.CDLL:
    raise CudaError("CUDA's runtime library (libcudart.so) was not found; add its folder to LD_LIBRARY_PATH")
