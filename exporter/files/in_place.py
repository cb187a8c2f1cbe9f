"""Folders that cannot be renamed: a volume mounted there, one in a lower layer of a container, the working directory.

Their contents are replaced. The former ones lie whole in a copy until that is done, and a process that is killed leaves
a copy that the next one puts back.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from exporter.errors import EnvironmentProblem
from exporter.files.copying import copy_contents
from exporter.files.temporary import temporary

_KIND = "building"


def is_fixed(folder: Path) -> bool:
    """Whether a folder is known to stay where it is; others show it by an error when they are renamed."""
    return os.path.ismount(folder) or (folder.exists() and folder.samefile(os.curdir))


def followed(folder: Path) -> Path:
    """Where links lead to, and a name for what is given without one, as `.` is."""
    return Path(os.path.realpath(folder))


def workplace(folder: Path) -> Path:
    """Where what is to replace a folder is made, on the same disk: beside it, or in it where a volume is mounted."""
    place = followed(folder)
    return place if os.path.ismount(place) else place.parent


def is_contents(folder: Path, name: str) -> bool:
    """Whether an entry belongs to what a folder holds: neither ours, made in a workplace, nor a file system's own."""
    return not name.startswith((f".{folder.name}.", ".t3export.")) and name != "lost+found"


def refill(folder: Path, new: Path) -> None:
    """Copies the contents of `new` in place of those of `folder`, which come back where that fails.

    Raises what failed, or EnvironmentProblem that says where the former contents are where they could not come back.
    """
    former = _former(folder)
    with temporary(former.parent, folder.name, _KIND) as copy:
        copy_contents(folder, copy, lambda name: not is_contents(folder, name))
        copy.rename(former)
    try:
        _empty(folder)
        copy_contents(new, folder)
    except BaseException:
        try:
            put_back(folder)
        except OSError as error:
            raise EnvironmentProblem(
                f"{folder}: could be neither replaced nor put back ({error}). What it held is whole in {former}; the "
                "next build or pull into the folder puts it back"
            ) from None
        raise
    _discard(folder)


def put_back(folder: Path) -> None:
    """What `refill` had set aside when its process was killed, if it was."""
    former = _former(folder)
    if former.exists():
        folder.mkdir(exist_ok=True)
        _empty(folder)
        copy_contents(former, folder)
        _discard(folder)


def is_cut_short(folder: Path) -> bool:
    """Whether a killed `refill` left something to put back."""
    return _former(folder).exists()


def _former(folder: Path) -> Path:
    return workplace(folder) / f".{folder.name}.former"


def _discard(folder: Path) -> None:
    """In one step out of sight, so that none that is half deleted is ever put back."""
    former = _former(folder)
    with temporary(former.parent, folder.name, _KIND) as gone:
        former.rename(gone / former.name)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if not is_contents(folder, entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
