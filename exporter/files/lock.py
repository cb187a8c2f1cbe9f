"""One process at a time, by a lock of the operating system, which lets go of it when the process dies.

Never by the number of a process: in two containers both are number 1.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.errors import EnvironmentProblem

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Windows locks bytes, and nobody else can read them: one far behind the text.
_LOCKED_BYTE = 4096
_PAUSE_SECONDS = 0.05


class NoLocks(EnvironmentProblem):
    """A disk that has no locks, as some of the network."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps a second process from changing the same folder. Raises EnvironmentProblem where one is at it, NoLocks."""
    lock = folder.with_name(f".{folder.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = claim(lock)
    if handle is None:
        raise EnvironmentProblem(f"{folder}: {_holder(lock)} is changing it; try again later")
    try:
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        release(lock, handle)


@contextmanager
def in_turn(lock: Path) -> Iterator[bool]:
    """One process after the other, for as long as it takes to move a folder; False on a disk without locks."""
    try:
        while (handle := claim(lock)) is None:
            time.sleep(_PAUSE_SECONDS)
    except NoLocks:
        yield False
        return
    try:
        yield True
    finally:
        release(lock, handle)


def claim(lock: Path) -> int | None:
    """The open file of a lock, held until it is released; None where another has it. Raises NoLocks."""
    while True:
        handle = _opened(lock)
        try:
            _claim(handle)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            return None
        except OSError as error:
            os.close(handle)
            raise NoLocks(f"{lock}: cannot be locked ({error.strerror}); choose a folder on another disk") from None
        if _is_at(lock, handle):
            return handle
        # Its last holder deleted it after it was opened here; somebody may hold a new one.
        os.close(handle)


def release(lock: Path, handle: int) -> None:
    """Deletes a lock and lets go of it: in this order, or it could be the next holder's."""
    # Windows keeps it, as it is open; a shared folder may keep what another user made.
    with suppress(PermissionError):
        lock.unlink(missing_ok=True)
    os.close(handle)


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        if not lock.exists():
            raise
        # Another user's, which can be locked all the same.
        return os.open(lock, os.O_RDONLY)


def _claim(handle: int) -> None:
    if sys.platform == "win32":
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _holder(lock: Path) -> str:
    try:
        process = lock.read_text()
    except OSError:
        process = ""
    return f"process {process}" if process.isdecimal() else "another process"
