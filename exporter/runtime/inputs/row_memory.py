"""Rows that an encoder has seen: a repeated prompt costs no text encoder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import numpy as np

Arrays = dict[str, np.ndarray]
MOST = 4096


class RowMemory:
    """A program that computes each row of its inputs once; all new rows of a call go through it together.

    Of more than `most` rows those that were wanted longest ago are forgotten. Threads may share it.
    """

    def __init__(self, run: Callable[[Arrays], Arrays], most: int = MOST) -> None:
        self._run = run
        self._most = most
        self._known: dict[bytes, Arrays] = {}
        self._turn = threading.Lock()

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        """Outputs [B, ...] by name, from the inputs [B, ...] of the program by name."""
        rows = list(zip(*arrays.values(), strict=True))
        keys = [b"".join(np.ascontiguousarray(part).tobytes() for part in row) for row in rows]
        with self._turn:
            wanted = {key: self._known[key] for key in keys if key in self._known}
        new = {key: i for i, key in enumerate(keys) if key not in wanted}
        if new:
            # Not in turn: a row that two threads want at once is made twice, and nobody waits for another's.
            made = self._run({name: array[list(new.values())] for name, array in arrays.items()})
            for position, key in enumerate(new):
                wanted[key] = {name: array[position] for name, array in made.items()}
        with self._turn:
            for key in keys:
                self._known.pop(key, None)
                self._known[key] = wanted[key]
            for key in list(self._known)[: -self._most]:
                del self._known[key]
        found = [wanted[key] for key in keys]
        return {name: np.stack([row[name] for row in found]) for name in found[0]}
