"""Files written whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import tempfile
from pathlib import Path

from exporter.errors import EnvironmentProblem


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
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be written ({error.strerror}); name another place") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all. Raises EnvironmentProblem that says so when the disk is full."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be written ({error.strerror}); nothing was left behind") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
