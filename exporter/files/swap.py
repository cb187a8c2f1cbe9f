"""A folder put in the place of another in one step, so that a kill at any moment leaves one of the two."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.files.lock import in_turn
from exporter.files.temporary import delete_abandoned, temporary

_HERE = -100
_EXCHANGE = 2
_KIND = "building"


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` to write into; on a good end it takes the place of `folder` at once.

    After an error, or a kill, `folder` is as it was; what a killed process left behind is deleted by the next one.
    """
    delete_abandoned(folder.parent, folder.name, _KIND)
    with temporary(folder.parent, folder.name, _KIND) as new:
        with in_turn(_turn(folder)) as locked:
            if locked:
                _put_back(folder)
        yield new
        with in_turn(_turn(folder)):
            if folder.exists():
                _exchange(new, folder)
            else:
                new.rename(folder)


def exchange(one: Path, other: Path) -> None:
    """Two folders that take each other's place, in one step where the system can."""
    with in_turn(_turn(other)):
        _exchange(one, other)


def _exchange(one: Path, other: Path) -> None:
    if not _exchange_at_once(one, other):
        aside = _aside(other)
        other.rename(aside)
        one.rename(other)
        aside.rename(one)


def _exchange_at_once(one: Path, other: Path) -> bool:
    """Swap two paths in one system call, where the system has it (Linux renameat2, macOS renamex_np)."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return bool(library.renameat2(_HERE, first, _HERE, second, _EXCHANGE) == 0)  # type: ignore[union-attr]
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return bool(library.renamex_np(first, second, _EXCHANGE) == 0)
    return False


def _put_back(folder: Path) -> None:
    """What a process set aside and was killed before it put another in its place; whose turn it is may do so."""
    aside = _aside(folder)
    if aside.exists() and not folder.exists():
        aside.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _turn(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.swap.lock")
