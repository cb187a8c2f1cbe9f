"""Build steps by content: a step with the same name, inputs, toolchain and source is not run twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.errors import EnvironmentProblem
from exporter.files.atomic import sha256_of
from exporter.files.home import own_folder
from exporter.files.swap import put
from exporter.files.temporary import delete_abandoned, temporary
from exporter.files.toolchain import source_digest, versions

ENVIRONMENT = "T3EXPORT_CACHE"
_ENTRY = "entry.json"
_KEY = "[0-9a-f]" * 64
_LABEL, _MAKING = "t3export", "making"
_WAYS_ON = f"name another folder in ${ENVIRONMENT}, or give --no-cache to a command that has it"
# What comes of reading an entry.json that is missing, cut short or something else.
_DAMAGED = (OSError, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class Entry:
    """The result of one step: files in `folder`, named by `key`. `size` in bytes, `used` in seconds since the epoch."""

    key: str
    step: str
    folder: Path
    size: int
    used: float


class Cache:
    """A folder of step results. Safe to share between processes, and between the users who may write into the folder:
    what is put there is as open to them as the folder itself. A damaged entry is made again."""

    def __init__(self, folder: Path | None = None) -> None:
        """None: the folder in $T3EXPORT_CACHE, else ~/.cache/t3export. Raises EnvironmentProblem where neither is."""
        self.folder = folder or own_folder(ENVIRONMENT, ".cache", "t3export")

    @classmethod
    @contextmanager
    def none(cls, beside: Path | None = None) -> Iterator[Cache]:
        """A cache that starts empty and is deleted at the end (`--no-cache`), in `beside` or the system's folder."""
        parent = beside or Path(tempfile.gettempdir())
        delete_abandoned(parent, _LABEL, "cache")
        with temporary(parent, _LABEL, "cache") as folder:
            yield cls(folder)

    def get(self, step: str, inputs: Mapping[str, Any], make: Callable[[Path], object]) -> tuple[Entry, bool]:
        """The entry of a step, and whether it was there; `make(folder)` writes its files where it was not.

        `inputs` is JSON data: settings, digests, and keys of earlier entries.
        """
        key = step_key(step, inputs)
        folder = self.folder / key[:2] / key
        if _is_whole(folder):
            # Another user's entry can be read, and not be touched.
            with suppress(OSError):
                os.utime(folder / _ENTRY)
            return _read(folder), True
        self.require_writable(folder.parent)
        with temporary(self.folder, _LABEL, _MAKING) as new:
            make(new)
            entry = {"key": key, "step": step, "inputs": inputs, "files": _digests(new)}
            (new / _ENTRY).write_text(json.dumps(entry, sort_keys=True), encoding="utf-8")
            self._share(new, *new.rglob("*"))
            self._put(new, folder)
        return _read(folder), False

    def require_writable(self, *more: Path) -> None:
        """Raises EnvironmentProblem that says what to do where nothing can be added, or not to these folders of it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentProblem(f"{self.folder}: cannot be made ({error.strerror}); {_WAYS_ON}") from None
        for place in (self.folder, *more):
            if place.exists() and not os.access(place, os.W_OK | os.X_OK):
                raise EnvironmentProblem(f"{place}: cannot be written by this user; {_WAYS_ON}")

    def _put(self, new: Path, folder: Path) -> None:
        if not folder.parent.exists():
            folder.parent.mkdir(exist_ok=True)
            self._share(folder.parent)
        try:
            new.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            # A whole one is another process's, made meanwhile; somebody may be reading it.
            if _is_whole(folder):
                return
            try:
                put(new, folder)
            except PermissionError:
                raise EnvironmentProblem(
                    f"{folder}: damaged, or not to be read by this user, who may not replace it either; {_WAYS_ON}"
                ) from None

    def _share(self, *paths: Path) -> None:
        """Gives what was made here the permissions of the cache's folder."""
        mode = stat.S_IMODE(self.folder.stat().st_mode)
        for path in paths:
            # Some disks have no permissions.
            with suppress(OSError):
                path.chmod(mode if path.is_dir() else mode & 0o666)

    def entries(self) -> list[Entry]:
        """All entries that can be read, the latest used first."""
        found = [entry for folder in self._folders() if (entry := _find(folder))]
        return sorted(found, key=lambda entry: (-entry.used, entry.key))

    def prune(self, keep_bytes: int = 0, older_than_days: float = 0.0) -> list[Entry]:
        """Delete the entries longest unused until at most `keep_bytes` are left.

        Entries used within `older_than_days` stay. Returns what was deleted; what cannot be read, and what killed
        builds left behind, is deleted besides.
        """
        now = time.time()
        delete_abandoned(self.folder, _LABEL, _MAKING)
        for folder in self._folders():
            if _find(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
        kept, deleted = 0, []
        for entry in self.entries():
            kept += entry.size
            if kept > keep_bytes and now - entry.used >= older_than_days * 86400:
                shutil.rmtree(entry.folder, ignore_errors=True)
                deleted.append(entry)
        return deleted

    def _folders(self) -> list[Path]:
        return [path.parent for path in self.folder.glob(f"??/{_KEY}/{_ENTRY}")]


def step_key(step: str, inputs: Mapping[str, Any]) -> str:
    """sha256 (hex) of a step: its name, its inputs, the packages' versions and the exporter's source."""
    content = {"step": step, "inputs": dict(inputs), "toolchain": versions(), "source": source_digest()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != _ENTRY):
        found[path.relative_to(folder).as_posix()] = sha256_of(path)
    return found


def _is_whole(folder: Path) -> bool:
    try:
        _, _, files = _described(folder)
        return bool(files == _digests(folder))
    except _DAMAGED:
        return False


def _find(folder: Path) -> Entry | None:
    """The entry in a folder; None where it cannot be read."""
    try:
        return _read(folder)
    except _DAMAGED:
        return None


def _read(folder: Path) -> Entry:
    key, step, _ = _described(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Entry(key, step, folder, size, (folder / _ENTRY).stat().st_mtime)


def _described(folder: Path) -> tuple[str, str, dict[str, str]]:
    """Key, step and files of an entry. Raises one of `_DAMAGED`."""
    described = json.loads((folder / _ENTRY).read_text(encoding="utf-8"))
    return described["key"], described["step"], described["files"]
