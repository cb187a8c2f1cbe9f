"""What this machine's processor is and can, as far as it decides which programs run fast and right on it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_ARM64 = ("arm64", "aarch64")
_X86_64 = ("x86_64", "amd64")
_CPUINFO = Path("/proc/cpuinfo")
# What products of floats and of small integers are made with, on x86-64 and on ARM64.
_DECISIVE = (
    "avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip


@dataclass(frozen=True)
class Processor:
    """`flags` as Linux names them, such as avx512_vnni; none are known elsewhere. `name`: its own for itself."""

    architecture: Literal["x86-64", "arm64", "other"]
    flags: frozenset[str]
    name: str = ""

    @property
    def has_vnni(self) -> bool:
        """Whether it adds products of 8-bit integers up in 32 bits; without it they are slow, or overflow in 16."""
        return not self.flags.isdisjoint(("avx512_vnni", "avx_vnni"))

    @property
    def has_bf16(self) -> bool:
        """Whether it multiplies bfloat16."""
        return not self.flags.isdisjoint(("avx512_bf16", "amx_bf16"))

    @property
    def decisive_flags(self) -> list[str]:
        """Those of its flags that decide how fast products are."""
        return [flag for flag in _DECISIVE if flag in self.flags]


def this_processor() -> Processor:
    """The processor of this machine."""
    machine = platform.machine().lower()
    flags = frozenset((_told("flags") or _told("Features")).split())
    name = _told("model name") or platform.processor() or machine
    return Processor("x86-64" if machine in _X86_64 else "arm64" if machine in _ARM64 else "other", flags, name)


def usable_processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(key: str) -> str:
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
