"""A folder put in the place of another, so that a kill at any moment leaves one of the two.

In one step where the system can; where a folder cannot be renamed, by copy. A link stays, and where it leads to is
replaced.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import BundleError
from exporter.files.atomic import CANNOT_MOVE
from exporter.files.copying import copy_contents, link_or_copy
from exporter.files.in_place import followed, is_cut_short, is_fixed, put_back, refill, workplace
from exporter.files.lock import in_turn
from exporter.files.temporary import delete_abandoned, temporary

_HERE = -100
_EXCHANGE = 2
_KIND = "building"


@contextmanager
def replacing(folder: Path, beside: Callable[[Path], Iterable[str]] = lambda folder: ()) -> Iterator[Path]:
    """A temporary folder to write into; on a good end it takes the place of `folder`, as `put` does.

    `beside(folder)`: relative paths of what is not to be replaced, looked up when the work is done. Raises BundleError
    where the new folder has an entry of such a name.

    After an error `folder` is as it was, after a kill too when `recover` or this has run; what a killed process left
    behind is deleted by the next one. Raises EnvironmentProblem before the work where nothing can be written.
    """
    with building(folder) as new:
        yield new
        _keep(followed(folder), new, beside(followed(folder)))
        put(new, folder)


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """The temporary folder of `replacing`, for who calls `put` himself; deleted at the end."""
    folder = followed(folder)
    delete_abandoned(workplace(folder), folder.name, _KIND)
    with temporary(workplace(folder), folder.name, _KIND) as new:
        recover(folder)
        yield new


def put(new: Path, folder: Path) -> None:
    """`new` takes the place of `folder`, which may be missing. What `new` is afterwards is left open.

    Raises OSError where that fails; `folder` is then as it was.
    """
    folder = followed(folder)
    with in_turn(_turn(folder)):
        if not folder.exists():
            new.rename(folder)
        elif not _exchanged(new, folder):
            refill(folder, new)


def exchange(one: Path, other: Path) -> None:
    """Two folders take each other's place. Raises OSError where that fails; both are then as they were."""
    one, other = followed(one), followed(other)
    with in_turn(_turn(other)):
        if not is_fixed(one) and _exchanged(one, other):
            return
    with building(one) as first, building(one) as second:
        copy_contents(one, first)
        copy_contents(other, second)
        put(second, one)
        try:
            put(first, other)
        except BaseException:
            put(first, one)
            raise


def recover(folder: Path) -> None:
    """Puts back what a process had set aside when it was killed, before it put another in its place."""
    folder = followed(folder)
    if not _aside(folder).exists() and not is_cut_short(folder):
        return
    with in_turn(_turn(folder)) as locked:
        # Whose turn it is knows that no other process is at it.
        if locked:
            put_back(folder)
            if _aside(folder).exists() and not folder.exists():
                _aside(folder).rename(folder)
            shutil.rmtree(_aside(folder), ignore_errors=True)


def _keep(folder: Path, new: Path, names: Iterable[str]) -> None:
    """Puts what lies in a folder into the new one too, so that whichever of the two is left has it."""
    for name in names:
        source, place = folder / name, new / name
        if os.path.lexists(place):
            raise BundleError(
                f"{source} is no part of what was there, and what is to be there now has '{name}' too: move it away"
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            place.symlink_to(source.readlink())
        elif source.is_dir():
            place.mkdir()
            copy_contents(source, place, copy=link_or_copy)
        else:
            link_or_copy(source, place)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two folders could take each other's place by their names."""
    if is_fixed(other):
        return False
    if _exchange_at_once(one, other):
        return True
    aside = _aside(other)
    try:
        other.rename(aside)
    except OSError as error:
        if error.errno not in CANNOT_MOVE:
            raise
        return False
    try:
        one.rename(other)
    except OSError as error:
        aside.rename(other)
        if error.errno not in CANNOT_MOVE:
            raise
        return False
    aside.rename(one)
    return True


def _exchange_at_once(one: Path, other: Path) -> bool:
    """Swap two paths in one system call, where the system has it (Linux renameat2, macOS renamex_np)."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return bool(library.renameat2(_HERE, first, _HERE, second, _EXCHANGE) == 0)  # type: ignore[union-attr]
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return bool(library.renamex_np(first, second, _EXCHANGE) == 0)
    return False


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _turn(folder: Path) -> Path:
    return workplace(folder) / f".{folder.name}.swap.lock"
