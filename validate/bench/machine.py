"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from typing import Any

import psutil

from exporter.files.toolchain import versions
from exporter.machine.gpus import gpus
from exporter.machine.processor import this_processor, usable_processors


def describe(threads: int) -> dict[str, Any]:
    """The machine as JSON data: what it has none of, such as a GPU, is not in it.

    `load`: the system's one-minute load average before anything was measured, which tells a quiet machine from a busy
    one.
    """
    processor, memory = this_processor(), psutil.virtual_memory()
    told: dict[str, Any] = {
        "processor": processor.name,
        "flags": processor.decisive_flags,
        "cores": usable_processors(),
        "threads": threads,
        "memory_bytes": memory.total,
        "free_bytes": memory.available,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": versions(),
    }
    if hasattr(os, "getloadavg"):
        told["load"] = round(os.getloadavg()[0], 2)
    found = gpus()
    return told | ({"gpus": [asdict(gpu) for gpu in found]} if found else {})


def in_words(machine: dict[str, Any]) -> str:
    """The same in a sentence."""
    flags = ", ".join(machine["flags"]) or "no flags known"
    names = ("onnxruntime", "torch", "executorch", "openvino")
    packages = [f"{name} {machine['versions'][name]}" for name in names if name in machine["versions"]]
    parts = [
        f"{machine['processor']} ({flags}), {machine['threads']} threads on {machine['cores']} cores",
        f"{machine['memory_bytes'] / 2**30:.1f} GiB",
        *(f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.1f} GiB" for gpu in machine.get("gpus", [])),
        machine["system"],
        ", ".join(packages),
    ]
    return "; ".join(parts) + (f"; load before it {machine['load']}" if "load" in machine else "")
