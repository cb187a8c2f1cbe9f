"""What this machine's processor is and can, as far as it decides which programs run fast and right on it."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

_ARM64 = ("arm64", "aarch64")
_X86_64 = ("x86_64", "amd64")
_CPUINFO = Path("/proc/cpuinfo")
_GROUPS = Path("/proc/self/cgroup")
_GROUP_FILES = Path("/sys/fs/cgroup")
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
    def int8_sums_may_overflow(self) -> bool:
        """Whether the fastest sum of products of unsigned and signed 8-bit integers is kept in 16 bits and saturates.

        Where the flags are not known, VNNI is not counted on.
        """
        return self.architecture == "x86-64" and not self.has_vnni

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
    """As many processors as this process may use, by its affinity and by the time that its control group is given."""
    allowed = _allowed_processors()
    return max(1, min(allowed, math.ceil(min(_shares(), default=allowed))))


def threads_to_use(wanted: int) -> int:
    """How many threads a runtime is to have: as wanted; 0, its own choice by affinity, unless there is less time."""
    if wanted:
        return wanted
    usable = usable_processors()
    return usable if usable < _allowed_processors() else 0


def _allowed_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shares() -> Iterator[float]:
    """Processors' worth of time that a control group of this process, or one above, may use: as containers have it."""
    lines = _GROUPS.read_text().splitlines() if _GROUPS.is_file() else []
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = _GROUP_FILES / "cpu" if controllers else _GROUP_FILES
        # In a container the group's own files lie at the root, whatever its path is outside.
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            quota, period = _quota(root / group.relative_to("/"), bool(controllers))
            if quota > 0 and period > 0:
                yield quota / period


def _quota(group: Path, is_first_version: bool) -> tuple[int, int]:
    """Microseconds of processor time in every so many of the clock; 0 where a group has no limit."""
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if is_first_version else ("cpu.max",)
    try:
        quota, period = " ".join((group / name).read_text() for name in names).split()
    except (OSError, ValueError):
        return 0, 0
    return (int(quota), int(period)) if quota.lstrip("-").isdecimal() and period.isdecimal() else (0, 0)


def _told(key: str) -> str:
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
