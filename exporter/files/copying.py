"""Contents of one folder copied into another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def copy_contents(
    source: Path,
    target: Path,
    leave_out: Callable[[str], bool] = lambda name: False,
    copy: Callable[[Path, Path], object] = lambda source, target: shutil.copy2(source, target),
) -> None:
    """Copies files by `copy`, folders and links; `leave_out` is given each relative path. Raises the first OSError as
    it is.

    Not shutil.copytree, whose error has no number: nobody could tell a full disk from one that is read-only.
    """
    waiting = sorted(source.iterdir())
    while waiting:
        entry = waiting.pop()
        place = target / entry.relative_to(source)
        if leave_out(entry.relative_to(source).as_posix()):
            continue
        if entry.is_symlink():
            place.symlink_to(entry.readlink())
        elif entry.is_dir():
            place.mkdir()
            waiting += entry.iterdir()
        else:
            copy(entry, place)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name of the same file, which costs no time and no space, where the file system has such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
