"""What this machine's processor is and can, as far as it decides which programs run fast and right on it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_ARM64 = ("arm64", "aarch64")
_X86_64 = ("x86_64", "amd64")
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Processor:
    """`flags` as Linux names them, such as avx512_vnni; none are known elsewhere."""

    architecture: Literal["x86-64", "arm64", "other"]
    flags: frozenset[str]

    @property
    def has_vnni(self) -> bool:
        """Whether it adds products of 8-bit integers up in 32 bits; without it they are slow, or overflow in 16."""
        return not self.flags.isdisjoint(("avx512_vnni", "avx_vnni"))

    @property
    def has_bf16(self) -> bool:
        """Whether it multiplies bfloat16."""
        return not self.flags.isdisjoint(("avx512_bf16", "amx_bf16"))


def this_processor() -> Processor:
    """The processor of this machine."""
    machine = platform.machine().lower()
    flags = frozenset(_flags()) if machine in _X86_64 else frozenset()
    return Processor("x86-64" if machine in _X86_64 else "arm64" if machine in _ARM64 else "other", flags)


def _flags() -> list[str]:
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
