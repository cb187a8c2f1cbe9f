"""Tables and words as they are shown: on a terminal, as Markdown for a document, and as JSON data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable

NOTHING = "–"


@dataclass(frozen=True)
class TextGrid:
    """A table as text: a header for each column, and rows of as many cells."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Told:
    """What a benchmark found: its data, tables for people, and what is to be known of them."""

    data: dict[str, Any]
    grids: Sequence[TextGrid]
    words: Sequence[str]

    def for_console(self) -> RenderableType:
        """Tables one below the other, and the words."""
        parts: list[RenderableType] = []
        for grid in self.grids:
            made = RichTable(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
            for index, header in enumerate(grid.headers):
                made.add_column(header, justify="right" if index else "left", overflow="fold")
            for row in grid.rows:
                made.add_row(*map(escape, row))
            parts += [made, ""]
        return Group(*parts, *map(escape, self.words))

    def markdown(self) -> str:
        """The same as Markdown."""
        tables = []
        for grid in self.grids:
            lines = [grid.headers, ["---", *["---:"] * (len(grid.headers) - 1)], *grid.rows]
            tables.append("\n".join(map(_line, lines)))
        return "\n\n".join([*tables, "\n".join(f"- {line}" for line in self.words)]) + "\n"


def seconds(value: float | None) -> str:
    """Three figures of a time in seconds."""
    return NOTHING if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def megabytes(value: int | None) -> str:
    """Whole megabytes, one decimal where they are few."""
    return NOTHING if value is None else f"{value / 1e6:.0f}" if value >= 1e8 else f"{value / 1e6:.1f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
