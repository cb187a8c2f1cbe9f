"""Rows that an encoder has seen: a repeated prompt costs no text encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Arrays = dict[str, np.ndarray]
MOST = 4096


class RowMemory:
    """A program that computes each row of its inputs once; all new rows of a call go through it together.

    Of more than `most` rows those that were wanted longest ago are forgotten.
    """

    def __init__(self, run: Callable[[Arrays], Arrays], most: int = MOST) -> None:
        self._run = run
        self._most = most
        self._known: dict[bytes, Arrays] = {}

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        """Outputs [B, ...] by name, from the inputs [B, ...] of the program by name."""
        rows = list(zip(*arrays.values(), strict=True))
        keys = [b"".join(np.ascontiguousarray(part).tobytes() for part in row) for row in rows]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            made = self._run({name: array[list(new.values())] for name, array in arrays.items()})
            for position, key in enumerate(new):
                self._known[key] = {name: array[position] for name, array in made.items()}
        found = [self._known[key] for key in keys]
        for key in keys:
            self._known[key] = self._known.pop(key)
        for key in list(self._known)[: -self._most]:
            del self._known[key]
        return {name: np.stack([row[name] for row in found]) for name in found[0]}
