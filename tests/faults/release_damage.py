"""Any file of a store of releases, or of a pulled bundle, damaged, removed or added: `verify` has to notice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exporter.release.names import WantedRelease
from exporter.release.publish import publish
from exporter.release.pull import pull
from exporter.release.stores import FolderStore
from exporter.release.verified import verify
from tests.faults.damage import damaged, flip, outcome, oversize, truncate
from tests.faults.fault import Attempt, Fault
from tests.releasable import KEY, TRUSTED, write_releasable

DAMAGES = {"flipped": flip, "truncated": truncate, "oversized": oversize}


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    store = folder / "store"
    publish([write_releasable(folder / "cpu")], store / "toy-1.0.0", KEY, "stable", "mit")
    bundle = pull(WantedRelease.parse("toy"), FolderStore(store), folder / "pulled", TRUSTED).installed.folder
    places = [(root, path) for root in (store, bundle) for path in sorted(root.rglob("*")) if path.is_file()]
    for number in range(count):
        root, path = places[number % len(places)]
        where = "store" if root == store else "pulled bundle"
        kind = rng.choice([*DAMAGES, "removed", "added"])
        case = f"{where}, {kind}"
        if kind == "added":
            lost = _with_another(root, path)
        elif kind == "removed":
            lost = _without(root, path)
        else:
            with damaged(path, DAMAGES[kind], rng):
                lost = outcome(partial(verify, root, TRUSTED))
        yield Attempt(case, lost and f"{path.relative_to(folder)}: {lost}")
    for root in (store, bundle):
        verify(root, TRUSTED)


def _with_another(root: Path, path: Path) -> str:
    other = path.with_name("another")
    other.write_bytes(b"?")
    try:
        return outcome(partial(verify, root, TRUSTED))
    finally:
        other.unlink()


def _without(root: Path, path: Path) -> str:
    content = path.read_bytes()
    path.unlink()
    try:
        return outcome(partial(verify, root, TRUSTED))
    finally:
        path.write_bytes(content)


FAULT = Fault(
    "release-damage",
    "changes, truncates, extends, removes or adds one file of a store or of a pulled bundle; `verify` refuses",
    1500,
    attempts,
)
