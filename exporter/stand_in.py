"""What runs a target's programs on a machine that is not that target, so that no check claims more than it saw."""

from __future__ import annotations

import platform
from pathlib import Path

from exporter.runtime.onnxruntime import installed_distributions
from exporter.target import Target

_ARM64 = ("arm64", "aarch64")
_X86_64 = ("x86_64", "amd64")
_CPUINFO = Path("/proc/cpuinfo")


def stand_in(target: Target) -> str:
    """The target's own words for what stands in for it here; empty where this machine is the target."""
    return "" if _is_here(target.processor) else target.stand_in


def runs_here(target: Target) -> bool:
    """Whether this machine is the target, with all that running needs: what is timed here is timed on the target."""
    if target.stand_in:
        return _is_here(target.processor)
    at_run = [need for need in target.needs if need.side == "run"]
    return not any(need.kind == "device" or need.missing() for need in at_run)


def _is_here(processor: str) -> bool:
    machine = platform.machine().lower()
    if processor == "cpu":
        return True
    if processor == "arm64":
        return machine in _ARM64
    if processor == "x86-64 without VNNI":
        return machine in _X86_64 and _CPUINFO.is_file() and "vnni" not in _CPUINFO.read_text()
    if processor == "cuda":
        return "onnxruntime-gpu" in installed_distributions()
    return False
