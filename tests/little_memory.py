"""A bundle that has room for one program at a time, and what that costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.runtime.bundle import Bundle


def open_with_little_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Bundle, list[tuple[str, int]], list[str]]:
    """The bundle, each call of a program with how many rows it got, and each program that was opened."""
    calls: list[tuple[str, int]] = []
    opened: list[str] = []
    run, open_ = Bundle._run, Bundle._open

    def counted_run(self, stage, arrays):
        calls.append((stage, len(next(iter(arrays.values())))))
        return run(self, stage, arrays)

    def counted_open(self, stage):
        opened.append(stage)
        return open_(self, stage)

    monkeypatch.setattr(Bundle, "_megabytes", lambda self, *stages: float(len(stages)))
    monkeypatch.setattr(Bundle, "_run", counted_run)
    monkeypatch.setattr(Bundle, "_open", counted_open)
    return Bundle.open(folder, memory_limit_mb=1), calls, opened
