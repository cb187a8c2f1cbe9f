"""The reference's objects, kept: the same model, prompts, seeds and judge are not sampled again for every bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

import exporter.runtime
import validate
from exporter.files.cache import Cache
from validate.judge.prompts import Prompt
from validate.objects.objects import Objects, Views

FILE = "objects.npz"
ROOMS = ("objects", "judge", "ladder")


class ObjectMemory:
    """Objects of one generator in the cache of steps. `identity` is JSON data that names the generator."""

    def __init__(self, cache: Cache, identity: Mapping[str, Any]) -> None:
        self.cache = cache
        self.identity = dict(identity)
        self.recalled = 0

    def recall(
        self, prompts: Sequence[Prompt], seeds: int, views: Views, judge: str, make: Callable[[], Objects]
    ) -> Objects:
        """The objects of these prompts and seeds before this judge (its digest), made only where they are not kept."""
        inputs = {
            "generator": self.identity,
            "prompts": [prompt.identity for prompt in prompts],
            "seeds": seeds,
            "views": asdict(views),
            "judge": judge,
            "source": source_digest(),
        }
        entry, found = self.cache.get("reference_objects", inputs, lambda folder: _save(folder / FILE, make()))
        self.recalled += found
        return _load(entry.folder / FILE)


def _save(path: Path, objects: Objects) -> None:
    np.savez(path, **{field.name: getattr(objects, field.name) for field in fields(objects)})


def _load(path: Path) -> Objects:
    with np.load(path, allow_pickle=False) as file:
        return Objects(**{name: file[name] for name in file.files})


def source_digest(*more: Path) -> str:
    """sha256 over the source that objects pass through and the cache's own key leaves out, and over files besides."""
    rooms = [*(Path(validate.__path__[0]) / room for room in ROOMS), Path(exporter.runtime.__path__[0])]
    sources = [path for room in rooms for path in sorted(room.rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in (*sources, *more))).hexdigest()
