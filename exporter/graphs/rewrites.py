"""How many places of a program each pass rewrote: kept beside the program, step after step, for the build to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

REWRITES = "rewrites.json"


class Rewritten(NamedTuple):
    """What a pass did: of the `there` nodes of a kind that it is for, bodies of loops included, it rewrote `done`."""

    kind: str
    done: int
    there: int


class Rewrite(NamedTuple):
    """What the pass called `by` did to a program."""

    by: str
    rewritten: Rewritten

    def __str__(self) -> str:
        kind, done, there = self.rewritten
        return f"{self.by} rewrote {done} of {there} {kind}"


def note_rewrite(folder: Path, by: str, rewritten: Rewritten) -> None:
    """Add what a pass did to the list in a program's folder; one that found nothing of its kind is left out."""
    if rewritten.there:
        _write(folder, [*read_rewrites(folder), Rewrite(by, rewritten)])


def carry_rewrites(before: Path, folder: Path) -> None:
    """Put what was done in the steps before in front of what the last one did."""
    if earlier := read_rewrites(before):
        _write(folder, [*earlier, *read_rewrites(folder)])


def read_rewrites(folder: Path) -> list[Rewrite]:
    """In the order in which they were done."""
    path = folder / REWRITES
    if not path.exists():
        return []
    return [Rewrite(by, Rewritten(*rewritten)) for by, rewritten in json.loads(path.read_text(encoding="utf-8"))]


def _write(folder: Path, rewrites: list[Rewrite]) -> None:
    (folder / REWRITES).write_text(json.dumps(rewrites), encoding="utf-8")
