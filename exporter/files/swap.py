"""A folder put in the place of another in one step, so that a kill at any moment leaves one of the two."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_HERE = -100
_EXCHANGE = 2


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` to write into; on a good end it takes the place of `folder` at once.

    After an error, or a kill, `folder` is as it was; what a killed process left behind is deleted by the next one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _delete_abandoned(folder)
    temporary = folder.parent / f".{folder.name}.{os.getpid()}.building"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        _put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def exchange(one: Path, other: Path) -> None:
    """Two folders that take each other's place, in one step where the system can."""
    if not _exchange(one, other):
        aside = other.with_name(f".{other.name}.{os.getpid()}.replaced")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)


def _put(new: Path, old: Path) -> None:
    if old.exists():
        exchange(new, old)
    else:
        new.rename(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one system call, where the system has it (Linux renameat2, macOS renamex_np)."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return bool(library.renameat2(_HERE, first, _HERE, second, _EXCHANGE) == 0)  # type: ignore[union-attr]
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return bool(library.renamex_np(first, second, _EXCHANGE) == 0)
    return False


def _delete_abandoned(folder: Path) -> None:
    made_here = re.compile(rf"\.{re.escape(folder.name)}\.([0-9]+)\.(building|replaced)")
    for path in list(folder.parent.iterdir()):
        found = made_here.fullmatch(path.name)
        if found and not psutil.pid_exists(int(found[1])):
            if found[2] == "replaced" and not folder.exists():
                path.rename(folder)
            else:
                shutil.rmtree(path, ignore_errors=True)
