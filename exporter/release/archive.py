"""Reproducible archives: a .tar.zst whose every member is a zstd frame of its own.

Any tar that knows zstd opens it, and any one file can be fetched alone by a range of bytes, so that the same archive
serves whole downloads and those of what has changed. Nothing is stored twice, and a server needs nothing but ranges.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import zstandard

from exporter.errors import BundleError
from exporter.release.statement import Frame, ReleasedFile

BLOCK = 512
CHUNK = 2**20
# Beyond 12 a program's weights gain nothing and cost ten times the time.
LEVEL = 12
LARGEST_WINDOW = 2**27
TIME = 315532800  # 1980-01-01, the earliest that zip and tar agree on
_END = bytes(2 * BLOCK)


class Writable(Protocol):
    def write(self, content: bytes, /) -> int: ...


def write_archive(folder: Path, names: Iterable[str], stream: BinaryIO) -> dict[str, ReleasedFile]:
    """Writes these files of a folder, sorted, with fixed times and owners; gives where each of them lies.

    Raises BundleError for what is no plain file.
    """
    files, offset = {}, 0
    for name in sorted(names):
        files[name] = _write_frame(folder / name, name, stream, offset)
        offset = files[name].frame.end
    stream.write(zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(_END))
    return files


def unpack(frame: BinaryIO | Window, name: str, file: ReleasedFile, into: Writable) -> None:
    """Writes the one file of a frame whose own digest was verified before.

    What comes out is checked against the signed size, the very header that `write_archive` writes (so no link, no
    other path), and the signed digest. Raises BundleError; at most the signed size is ever written.
    """
    with zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).stream_reader(
        cast(BinaryIO, frame), read_across_frames=True, closefd=False
    ) as plain:
        try:
            wanted = header(name, file.size, file.executable)
            if _exactly(plain, len(wanted)) != wanted:
                raise BundleError(f"{name}: the archive has something else in its place, a link or another path")
            digest, left = hashlib.sha256(), file.size
            while left:
                piece = _exactly(plain, min(left, CHUNK))
                if not piece:
                    raise BundleError(f"{name}: {file.size - left} bytes in the archive, {file.size} expected")
                digest.update(piece)
                into.write(piece)
                left -= len(piece)
            padding = _padding(file.size)
            if _exactly(plain, len(padding) + 1) != padding:
                raise BundleError(f"{name}: more in the archive than the {file.size} bytes expected")
        except zstandard.ZstdError as error:
            raise BundleError(f"{name}: damaged archive ({error})") from None
    if digest.hexdigest() != file.sha256:
        raise BundleError(f"{name}: changed (its sha256 is not the release's)")


class Window:
    """A stretch of an open file, read once, with its digest."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        stream.seek(start)
        self._stream, self._left, self._digest = stream, size, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(piece)
        self._digest.update(piece)
        return piece

    def finish(self) -> str:
        """The sha256 (hex) of the whole stretch."""
        while self.read(CHUNK):
            continue
        return self._digest.hexdigest()


class Nowhere:
    """Takes everything and keeps nothing."""

    def write(self, content: bytes, /) -> int:
        return len(content)


def header(name: str, size: int, executable: bool) -> bytes:
    """The tar header of a member, the same on every machine."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, TIME, 0o755 if executable else 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def _write_frame(path: Path, name: str, stream: BinaryIO, offset: int) -> ReleasedFile:
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path}: not a plain file; a release holds no links")
    size, executable = path.stat().st_size, _is_script(path)
    content, frame, length, left = hashlib.sha256(), hashlib.sha256(), 0, size
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()

    def put(compressed: bytes) -> None:
        nonlocal length
        frame.update(compressed)
        length += stream.write(compressed)

    put(compressor.compress(header(name, size, executable)))
    with path.open("rb") as source:
        while piece := source.read(CHUNK):
            content.update(piece)
            left -= len(piece)
            put(compressor.compress(piece))
    if left:
        raise BundleError(f"{path}: changed while it was read; release it again when nothing writes to it")
    put(compressor.compress(_padding(size)) + compressor.flush())
    place = Frame(offset=offset, size=length, sha256=frame.hexdigest())
    return ReleasedFile(sha256=content.hexdigest(), size=size, executable=executable, frame=place)


def _is_script(path: Path) -> bool:
    """By its content: the permissions of a checkout are those of its file system and of whoever made it."""
    with path.open("rb") as source:
        return source.read(2) == b"#!"


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def _exactly(stream: zstandard.ZstdDecompressionReader, size: int) -> bytes:
    """As many bytes, or fewer at the end."""
    pieces = []
    while size and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
