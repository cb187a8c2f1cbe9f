"""Where things are printed: results to stdout, progress, notes and errors to stderr."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from t3export.streams import takes_every_letter

PIPED_WIDTH = 120


def results() -> Console:
    """The console of results."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def notes() -> Console:
    """The console of progress, notes and errors."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """One JSON document to stdout; JSON has no infinity and no NaN, they become null."""
    escaped = not takes_every_letter(sys.stdout)
    sys.stdout.write(json.dumps(_finite(data), indent=2, ensure_ascii=escaped, allow_nan=False) + "\n")


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def print_error(message: str) -> None:
    """An error to stderr."""
    notes().print(f"[bold red]error:[/] {escape(message)}")


def print_note(message: str) -> None:
    """Something worth knowing that is not an error, to stderr."""
    notes().print(f"[yellow]note:[/] {escape(message)}")


def table(*columns: str) -> Table:
    """An empty table with these columns."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def megabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
