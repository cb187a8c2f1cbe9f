"""What tests of pulling share."""

from __future__ import annotations

import os

import pytest

from exporter.release.names import WantedRelease
from exporter.release.pull import pull
from exporter.release.stores import FolderStore, open_store
from tests.releasable import TRUSTED


def get(place, into, wanted="toy", keys=TRUSTED):
    store = open_store(str(place)) if isinstance(place, (str, os.PathLike)) else place
    return pull(WantedRelease.parse(wanted), store, into, keys)


def pull_killed(store, into, at):
    """A pull that dies when this share of the bytes has come."""

    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if done >= at * total:
            raise Killed

    with pytest.raises(Killed):
        pull(WantedRelease.parse("toy"), FolderStore(store), into, TRUSTED, on_bytes=kill)


def same(one, other):
    def contents(folder):
        return {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file() and "release.json" not in p.name
        }

    return contents(one) == contents(other)


def litter(folder):
    """What following the documents and opening a folder in a file manager leaves in a bundle."""
    for name in ("client/node_modules/a/a.js", "client/node_modules/b.js", "reports/.DS_Store"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"?")
