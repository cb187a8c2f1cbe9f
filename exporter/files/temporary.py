"""Folders to work in that are deleted at the end, or, after a kill, by the next process."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.errors import EnvironmentProblem
from exporter.files.lock import NoLocks, claim, release

# Numbers of processes, as former versions named them, or random.
_OWNER = "[0-9]+|[0-9a-f]{16}"


@contextmanager
def temporary(parent: Path, label: str, kind: str) -> Iterator[Path]:
    """A new folder `.label.RANDOM.kind` in `parent`, deleted at the end.

    As long as this process lives it holds the lock beside it, by which others know that it is not abandoned. Raises
    EnvironmentProblem where nothing can be written there.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder, handle = _claimed(parent, label, kind)
    except OSError as error:
        raise EnvironmentProblem(f"{parent}: cannot be written ({error.strerror}); name another place") from None
    try:
        yield folder
    finally:
        _delete(folder, handle)


def delete_abandoned(parent: Path, label: str, kind: str) -> None:
    """Deletes the folders of such names whose process has died; on a disk without locks, where none can tell, none."""
    left = re.compile(rf"(\.{re.escape(label)}\.({_OWNER})\.{kind})(\.lock)?")
    names = {found[1] for path in parent.glob(".*") if (found := left.fullmatch(path.name))}
    for folder in (parent / name for name in names):
        with suppress(OSError, NoLocks):
            handle = claim(_lock_of(folder))
            if handle is not None:
                _delete(folder, handle)


def _claimed(parent: Path, label: str, kind: str) -> tuple[Path, int | None]:
    """A new folder and its open lock; None on a disk without locks. Raises OSError and leaves nothing."""
    folder = parent / f".{label}.{secrets.token_hex(8)}.{kind}"
    try:
        handle = claim(_lock_of(folder))
        if handle is None:
            # Somebody who looks for abandoned folders was faster.
            return _claimed(parent, label, kind)
    except NoLocks:
        handle = None
    try:
        folder.mkdir()
    except OSError:
        _delete(folder, handle)
        raise
    return folder, handle


def _delete(folder: Path, handle: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if handle is None:
        _lock_of(folder).unlink(missing_ok=True)
    else:
        release(_lock_of(folder), handle)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
