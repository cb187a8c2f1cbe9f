"""The machine that a figure was measured on."""

from __future__ import annotations

import platform

from exporter.machine.processor import this_processor, usable_processors


def describe() -> dict[str, str]:
    """System and processor: without them a time says nothing."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": f"{usable_processors()} cores, {this_processor().name}",
    }
