"""What runs a target's programs on a machine that is not that target, so that no check claims more than it saw."""

from __future__ import annotations

from exporter.machine.onnxruntime_packages import installed_distributions
from exporter.machine.processor import this_processor
from exporter.targets.target import Target


def stand_in(target: Target) -> str:
    """The target's own words for what stands in for it here; empty where this machine is the target."""
    return "" if _is_here(target.processor) else target.stand_in


def runs_here(target: Target) -> bool:
    """Whether this machine is the target, with all that running needs: what is timed here is timed on the target."""
    if target.stand_in:
        return _is_here(target.processor)
    at_run = [need for need in target.needs if need.side == "run"]
    return not any(need.kind == "device" or need.missing() for need in at_run)


def hardware_elsewhere(target: Target) -> list[str]:
    """The hardware that a target's bundles run on, where this machine is not known to be it; else empty."""
    if target.stand_in and _is_here(target.processor):
        return []
    devices = [need.name for need in target.needs if need.kind == "device"]
    return devices or ([target.processor] if target.stand_in else [])


def _is_here(processor: str) -> bool:
    here = this_processor()
    is_x86 = here.architecture == "x86-64"
    return {
        "cpu": True,
        "arm64": here.architecture == "arm64",
        "x86-64 with VNNI": is_x86 and here.has_vnni,
        "x86-64 with VNNI and bf16": is_x86 and here.has_vnni and here.has_bf16,
        "cuda": "onnxruntime-gpu" in installed_distributions(),
    }.get(processor, False)
