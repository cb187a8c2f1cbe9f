"""The machine that a figure was measured on."""

from __future__ import annotations

import os
import platform

from exporter.machine.processor import this_processor


def describe() -> dict[str, str]:
    """System and processor: without them a time says nothing."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": f"{os.cpu_count()} cores, {this_processor().name}",
    }
