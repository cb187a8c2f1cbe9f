"""sha256 of files. `hashlib.file_digest` would do, but Python 3.10, which JetPack 6 has, does not know it."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PIECE = 2**20


def sha256_of(path: Path) -> str:
    """sha256 (hex) of a file, streamed."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
