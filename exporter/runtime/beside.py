"""What lies in a bundle's folder and is no part of it: node_modules, __pycache__, what a file manager leaves behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from exporter.files.in_place import is_contents
from exporter.manifest import ENGINES, MANIFEST, REPORTS, Manifest

_NAMED = 3


def beside(folder: Path, manifest: Manifest) -> list[str]:
    """Relative paths of the topmost files and folders that are not the bundle's, sorted; a folder's ends in '/'.

    Nothing is read, and no such folder is entered. Engines that were built and not yet listed are the bundle's.
    """
    return _sorted_strangers(folder, {MANIFEST, *manifest.files}, bool(manifest.engines))


def beside_former(folder: Path) -> list[str]:
    """The same of a bundle that is about to be replaced, also of one that this t3export does not read. Empty where
    there is no manifest, or none that says whose anything is."""
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        own = {MANIFEST, *told["files"]}
        engines = bool(told.get("engines"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [name for name in _sorted_strangers(folder, own, engines) if is_contents(folder, name.rstrip("/"))]


def beside_note(folder: Path, manifest: Manifest) -> str:
    """The same in one line for a person; empty where there is nothing."""
    found = beside(folder, manifest)
    if not found:
        return ""
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return f"{folder}: no part of the bundle, and left alone: {', '.join(found[:_NAMED])}{more}"


def _sorted_strangers(folder: Path, own: set[str], engines: bool) -> list[str]:
    whole = {REPORTS, ENGINES} if engines else {REPORTS}
    shared = {str(parent) for name in own for parent in PurePosixPath(name).parents}
    return sorted(_strangers(folder, "", own, shared, whole))


def _strangers(folder: Path, prefix: str, own: set[str], shared: set[str], whole: set[str]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if not entry.is_dir(follow_symlinks=False):
                if name not in own:
                    yield name
            elif name in shared:
                yield from _strangers(folder / entry.name, f"{name}/", own, shared, whole)
            elif name not in whole:
                yield f"{name}/"
