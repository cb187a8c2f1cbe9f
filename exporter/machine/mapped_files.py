"""Files that this process has mapped into its memory, on Linux."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def give_back(folder: Path) -> None:
    """Take the pages of mapped files of a folder out of this process's memory; what is read again comes from the file.

    Only of mappings that are never written to. Elsewhere than on Linux nothing is done.
    """
    if not _MAPS.is_file():
        return
    advise = ctypes.CDLL(None).madvise
    for start, end in _mapped(folder.resolve()):
        # An answer of -1 means that the pages stay, which costs memory and nothing else.
        advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def _mapped(folder: Path) -> Iterator[tuple[int, int]]:
    """Where its files lie that are mapped for reading alone."""
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, rights, _, _, _, *path = line.split(maxsplit=5)
        if path and rights.startswith("r-") and Path(path[0]).parent == folder:
            start, end = addresses.split("-")
            yield int(start, 16), int(end, 16)
