"""Time and peak memory of one step of a build."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass
class StepRecord:
    """One step: wall-clock seconds, peak resident memory of the process in bytes, and whether the cache had it."""

    name: str
    seconds: float = 0.0
    peak_bytes: int = 0
    cached: bool = False


class Progress(Protocol):
    """Told of every step as it goes."""

    def started(self, step: str) -> None: ...
    def advanced(self, step: str, done: int, total: int) -> None: ...
    def finished(self, record: StepRecord) -> None: ...


class Silent:
    """Progress that shows nothing."""

    def started(self, step: str) -> None: ...
    def advanced(self, step: str, done: int, total: int) -> None: ...
    def finished(self, record: StepRecord) -> None: ...


class Within:
    """The progress of something that is itself one of several: its steps are shown under `name`, and leave no lines."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name

    def started(self, step: str) -> None:
        self._progress.started(f"{self._name}: {step}")

    def advanced(self, step: str, done: int, total: int) -> None:
        self._progress.advanced(f"{self._name}: {step}", done, total)

    def finished(self, record: StepRecord) -> None: ...


@contextmanager
def metered(name: str, progress: Progress, records: list[StepRecord]) -> Iterator[StepRecord]:
    """Measure a step, tell `progress`, and append its record when it ends well."""
    record = StepRecord(name)
    progress.started(name)
    _reset_peak()
    begin = time.perf_counter()
    yield record
    record.seconds = time.perf_counter() - begin
    record.peak_bytes = _peak_bytes()
    records.append(record)
    progress.finished(record)


_highest = 0


def peak_so_far() -> int:
    """Peak resident memory of this process in bytes, whatever was measured in it: without those that it started."""
    return max(_highest, _peak_bytes())


def _reset_peak() -> None:
    """Linux counts the peak since the last reset; elsewhere the peak is that of the whole process so far."""
    global _highest
    _highest = peak_so_far()
    if sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return


def _peak_bytes() -> int:
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
