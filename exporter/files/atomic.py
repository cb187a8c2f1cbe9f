"""Files written whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from exporter.errors import EnvironmentProblem

# A rename from one disk, or one layer of a container, to another; of what is mounted.
CANNOT_MOVE = (errno.EXDEV, errno.EBUSY)


def sha256_of(path: Path) -> str:
    """sha256 (hex) of a file, streamed."""
    # Not hashlib.file_digest: Python 3.10, which JetPack 6 has, does not know it.
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def require_writable(path: Path) -> None:
    """Makes the folder of a file that long work will fill. Raises EnvironmentProblem where it could not be written."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be written ({error.strerror}); name another place") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all; what a link leads to is written, and a device or a pipe takes it as it comes.

    What cannot be renamed, as a file that is mounted by itself, is written in place, and gets its former content back
    where that fails. Raises EnvironmentProblem that says so when the disk is full.
    """
    place = Path(os.path.realpath(path))
    # Any name that a file may have leaves no room for more, and processes of two containers have the same number.
    temporary = place.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if place.exists() and not place.is_file():
            path.write_bytes(content)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        try:
            temporary.replace(place)
        except OSError as error:
            if error.errno not in CANNOT_MOVE:
                raise
            _write_in_place(place, content)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be written ({error.strerror}); nothing was left behind") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _write_in_place(path: Path, content: bytes) -> None:
    former = path.read_bytes()
    try:
        path.write_bytes(content)
    except OSError:
        path.write_bytes(former)
        raise
