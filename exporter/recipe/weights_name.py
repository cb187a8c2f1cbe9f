"""What `model.weights` names: a file or folder, by a path relative to the recipe, or a model of zoo or hub."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from exporter.errors import NoSuchWeights

ZOO = Path(__file__).parent.parent / "zoo"
# Weights of another name that are changed in some way: that name follows, and perhaps settings behind colons.
_CHANGED = re.compile(r"^((?:stress:|shaped:)+)(.*?)((?::[^:/\\]*)*)$")
# The name, and the revision after '@'.
HUB_NAME = re.compile(r"^([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?$")
_RANDOM = "random:"


def placed(weights: str, folder: Path) -> str:
    """The same weights by a path that leads there from anywhere, where they are a folder relative to `folder`."""
    return _renamed(weights, folder, lambda path: os.path.abspath(folder / path))  # noqa: PTH100 - links stay


def moved(weights: str, folder: Path, way: Path) -> str:
    """The same weights as seen from where `way` leads to `folder`, where they are a folder relative to it."""
    return _renamed(weights, folder, lambda path: f"./{Path(way, path).as_posix()}" if not path.is_absolute() else path)


def require_there(weights: str) -> None:
    """Raises NoSuchWeights for a folder that is not there. What the hub has is not looked up."""
    _, name, _ = _parts(weights)
    if name.startswith(_RANDOM) or _is_of_zoo(name) or _expanded(name).exists() or HUB_NAME.match(name):
        return
    raise NoSuchWeights(f"weights {weights!r}: no such folder")


def _renamed(weights: str, folder: Path, change: Callable[[Path], str | Path]) -> str:
    before, name, after = _parts(weights)
    return f"{before}{change(_expanded(name))}{after}" if _is_folder(name, folder) else weights


def _is_folder(name: str, folder: Path) -> bool:
    """Whether a name is written as a path, or leads to a folder and is no model's own."""
    if name.startswith(_RANDOM) or _is_of_zoo(name):
        return False
    return name.startswith(("./", "../", "/", "~")) or (bool(name) and (folder / _expanded(name)).exists())


def _is_of_zoo(name: str) -> bool:
    return bool(name) and "/" not in name and (ZOO / name.replace("-", "_")).is_dir()


def _parts(weights: str) -> tuple[str, str, str]:
    """What is done to the weights, their name, and the settings of what is done."""
    found = _CHANGED.match(weights)
    if found is None:
        return "", weights, ""
    before, name, after = found.groups()
    return (before, name + after, "") if f"{name}{after}".startswith(_RANDOM) else (before, name, after)


def _expanded(name: str) -> Path:
    # pathlib's own raises RuntimeError for a user whom the system does not know.
    return Path(os.path.expanduser(name))  # noqa: PTH111
