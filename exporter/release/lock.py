"""One process at a time, by a lock of the operating system, which lets go of it when the process dies."""

from __future__ import annotations

import os
import sys
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


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps a second process from changing the same folder. Raises EnvironmentProblem where one is at it."""
    lock = folder.with_name(f".{folder.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = _hold(lock, folder)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        # Deleted while it is still held, or it could be the next holder's. Windows keeps it, as it is open.
        with suppress(PermissionError):
            lock.unlink(missing_ok=True)
        os.close(handle)


def _hold(lock: Path, folder: Path) -> int:
    """The open file of a lock, held until it is closed. Raises EnvironmentProblem."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _claim(handle)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            raise EnvironmentProblem(f"{folder}: {_holder(lock)} is changing it; try again later") from None
        except OSError as error:
            os.close(handle)
            raise EnvironmentProblem(
                f"{lock}: cannot be locked ({error.strerror}); choose a folder on another disk"
            ) from None
        if _is_at(lock, handle):
            return handle
        # Its last holder deleted it after it was opened here; somebody may hold a new one.
        os.close(handle)


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
