"""Names that systems and tools leave in any folder: never part of what is built, packed or kept."""

from __future__ import annotations

from pathlib import PurePosixPath

_NAMES = {"__pycache__", "node_modules", "Thumbs.db", "desktop.ini", "lost+found"}


def is_left_behind(name: str) -> bool:
    """Whether a relative path is hidden, or lies in what a system or a tool leaves behind.

    Hidden: `.DS_Store`, `._*` of macOS, `.nfs*` of a network disk, `.ipynb_checkpoints`, `.gitattributes`.
    """
    return any(part.startswith(".") or part in _NAMES for part in PurePosixPath(name).parts)
