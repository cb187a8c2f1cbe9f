"""Names that are safe to make paths of: NAME-VERSION, channels, and files that stay inside their folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.release.release_errors import NoSuchRelease

NAME = r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?"
VERSION = r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?"
CHANNEL = r"[a-z][a-z0-9_]*"
LONGEST_PATH = 512
_FOLDER = re.compile(rf"({NAME})-({VERSION})")
_WANTED = re.compile(rf"({NAME})(?:@({VERSION}|{CHANNEL}))?")
# What Windows, shells and terminals would take for something else than part of a name.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class WantedRelease:
    """NAME, NAME@VERSION or NAME@CHANNEL as asked for; `of` is the version or the channel."""

    name: str
    of: str

    @property
    def is_version(self) -> bool:
        return self.of[0].isdigit()

    @classmethod
    def parse(cls, text: str) -> WantedRelease:
        """Without @ it is the channel 'stable'. Raises NoSuchRelease for anything that is not such a name."""
        found = _WANTED.fullmatch(text)
        if not found:
            raise NoSuchRelease(f"{text!r}: write NAME, NAME@1.2.3 or NAME@stable, in small letters")
        return cls(found[1], found[2] or "stable")


def split_folder(folder: str) -> tuple[str, str]:
    """'shape_e-1.2.0' to its name and version. Raises NoSuchRelease for another form."""
    found = _FOLDER.fullmatch(folder)
    if not found:
        raise NoSuchRelease(
            f"{folder!r}: a release's folder is called NAME-VERSION, as in shape_e-1.0.0 (small letters; a version is "
            "three numbers, perhaps with -rc1)"
        )
    return found[1], found[2]


def require_safe_path(path: str) -> str:
    """The path, when it names a file below its folder on every system. Raises ValueError that says why it does not."""
    if not path or len(path) > LONGEST_PATH:
        raise ValueError(f"a path of {len(path)} characters")
    if path.startswith("/"):
        raise ValueError(f"{path!r} is an absolute path")
    if _UNSAFE.search(path) or unicodedata.normalize("NFC", path) != path:
        raise ValueError(f"{path!r} has characters that no path may have")
    for part in path.split("/"):
        if part in ("", ".", ".."):
            raise ValueError(f"{path!r} leads out of its folder, or names none")
        if part != part.strip() or part.endswith(".") or _DEVICE.fullmatch(part):
            raise ValueError(f"{path!r} is another path on some systems")
    return path


def require_distinct(paths: Iterable[str]) -> None:
    """Raises ValueError where two paths are one on a system that ignores case, or one is the folder of another."""
    seen: dict[str, str] = {}
    for path in paths:
        if (same := seen.get(path.casefold())) is not None:
            raise ValueError(f"{path!r} is there twice (beside {same!r})")
        seen[path.casefold()] = path
    for path in seen.values():
        parts = path.casefold().split("/")
        for end in range(1, len(parts)):
            if (file := seen.get("/".join(parts[:end]))) is not None:
                raise ValueError(f"{file!r} is a file and the folder of {path!r}")
