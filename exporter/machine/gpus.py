"""The NVIDIA GPUs of this machine, by the management library that comes with their driver."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

_NAME_LENGTH = 96


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, its memory in bytes, and how much of that is taken, by whomever."""

    name: str
    memory_bytes: int
    used_bytes: int


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def gpus(nvml: Any = None) -> list[Gpu]:
    """The GPUs that NVIDIA's management library lists, none where there is no such library.

    `nvml`: the loaded library; by default the one that comes with the driver.
    """
    library = nvml or _nvml()
    if library is None or library.nvmlInit_v2():
        return []
    try:
        count = ctypes.c_uint()
        library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        return [_gpu(library, index) for index in range(count.value)]
    finally:
        library.nvmlShutdown()


def _gpu(library: Any, index: int) -> Gpu:
    device, memory = ctypes.c_void_p(), _Memory()
    name = ctypes.create_string_buffer(_NAME_LENGTH)
    library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
    library.nvmlDeviceGetName(device, name, _NAME_LENGTH)
    library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))
    return Gpu(name.value.decode(), memory.total, memory.used)


def _nvml() -> Any:
    for name in ("libnvidia-ml.so.1", "nvml.dll"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None
