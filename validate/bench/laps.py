"""A stopwatch for parts of one run, some inside others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Laps:
    """Seconds by name. The time of a lap inside another is its own, not the outer one's too."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Adds what the block takes to the lap of this name."""
        begin = time.perf_counter()
        self._inside.append(0.0)
        yield
        whole = time.perf_counter() - begin
        self.seconds[name] = self.seconds.get(name, 0.0) + whole - self._inside.pop()
        if self._inside:
            self._inside[-1] += whole
