"""Pictures from the command line: files, or one on standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import RecipeError
from exporter.runtime.inputs.cut_out import cut_out
from exporter.runtime.inputs.picture import Picture, opened, remarks, unturned

STANDARD_INPUT = Path("-")


@dataclass(frozen=True)
class GivenPicture:
    """`name`: the path, or '-'; `picture`: what a bundle reads; `notes`: what was done to it; `removed`: how much of it
    was background, where that was to be removed."""

    name: str
    picture: Picture
    notes: tuple[str, ...]
    removed: float | None = None

    def to_dict(self) -> dict[str, object]:
        return {"picture": self.name} | ({} if self.removed is None else {"removed_background": round(self.removed, 4)})


def read_pictures(paths: Sequence[Path], remove_background: bool) -> list[GivenPicture]:
    """Every picture, looked at before anything is made of one. Raises RecipeError for one that cannot be taken."""
    if sum(path == STANDARD_INPUT for path in paths) > 1:
        raise RecipeError("--picture -: standard input has one picture; give the others as files")
    return [_read(path, remove_background) for path in paths]


def _read(path: Path, remove_background: bool) -> GivenPicture:
    from_file = path != STANDARD_INPUT
    found = unturned(path if from_file else _standard_input())
    picture = opened(found)
    notes = remarks(found, picture)
    if not remove_background:
        return GivenPicture(str(path), path if from_file else picture, tuple(notes))
    cut = cut_out(picture)
    return GivenPicture(str(path), cut.picture, (*notes, cut.told()), cut.share)


def _standard_input() -> io.BytesIO:
    data = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    if not data:
        raise RecipeError(
            "--picture -: no picture came on standard input; pipe one into it, as in "
            "`cat mug.png | t3export run BUNDLE --picture - -o mug.glb`"
        )
    return io.BytesIO(data)
