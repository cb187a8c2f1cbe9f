"""What of this machine decides how fast a program runs: the processor, what it can do, and its GPUs."""

from __future__ import annotations

import ctypes
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What products of floats and of small integers are made with, on x86-64 and on ARM64.
DECISIVE_FLAGS = (
    "avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
_CPUINFO = Path("/proc/cpuinfo")
_NAME_LENGTH = 96


def processor_name() -> str:
    """The processor's own name for itself."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def processor_flags() -> list[str]:
    """Those of the DECISIVE_FLAGS that the processor has; none where the system does not tell (Linux does)."""
    told = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    return [flag for flag in DECISIVE_FLAGS if flag in told]


def usable_processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _cpuinfo(key: str) -> str:
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
