"""A store that was tampered with, pulled from by someone who has a version in place already."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from exporter.release import fetch
from exporter.release.installed import Installed
from exporter.release.names import WantedRelease
from exporter.release.publish import publish
from exporter.release.pull import pull
from exporter.release.stores import FolderStore
from tests.faults.damage import damaged, flip, outcome, truncate
from tests.faults.fault import Attempt, Fault
from tests.releasable import KEY, TRUSTED, write_releasable

READ = ("index.json", "toy-1.1.0/release.json", "toy-1.1.0/release.json.minisig", "toy-1.1.0/toy/cpu.tar.zst")


def attempts(folder: Path, count: int, rng: random.Random) -> Iterator[Attempt]:
    store, into = folder / "store", folder / "pulled"
    publish([write_releasable(folder / "one/cpu")], store / "toy-1.0.0", KEY, "stable", "mit")
    pull(WantedRelease.parse("toy"), FolderStore(store), into, TRUSTED)
    publish([write_releasable(folder / "two/cpu", steps=4)], store / "toy-1.1.0", KEY, "candidate", "mit")
    pause, fetch.FIRST_PAUSE = fetch.FIRST_PAUSE, 0.0
    try:
        for number in range(count):
            path, kind = READ[number % len(READ)], rng.choice(["flipped", "truncated"])
            with damaged(store / path, {"flipped": flip, "truncated": truncate}[kind], rng):
                lost = outcome(lambda: pull(WantedRelease.parse("toy@candidate"), FolderStore(store), into, TRUSTED))
            whole = Installed.verified(into / "toy/cpu", TRUSTED)
            if lost == "not noticed" and whole.release.version == "1.1.0":
                # A delta does not read what it has already: the damage lay there, and what is in place is as signed.
                lost, kind = "", f"{kind} where a delta does not read"
                shutil.rmtree(into)
                pull(WantedRelease.parse("toy"), FolderStore(store), into, TRUSTED)
            elif not lost and whole.release.version != "1.0.0":
                lost = "refused, and yet another version is in place"
            yield Attempt(f"{path}, {kind}", lost)
    finally:
        fetch.FIRST_PAUSE = pause


FAULT = Fault(
    "transfers",
    "pulls from a store of which one file is damaged; it is refused and the version in place stays whole, or the bytes "
    "were not needed and what is in place is as signed",
    600,
    attempts,
)
