"""`t3export cache list|prune`."""

from __future__ import annotations

import re
from datetime import datetime

import click
from rich.markup import escape

from exporter.errors import RecipeError
from exporter.files.cache import Cache, Entry
from t3export.output import megabytes, print_json, results, table

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*$", re.IGNORECASE)


@click.group()
def command() -> None:
    """Look at the cache of build steps, or prune it. It lives in $T3EXPORT_CACHE, else in ~/.cache/t3export.

    \b
    Examples:
      t3export cache list
      t3export cache prune --keep 2GB
      t3export cache prune --older-than 30
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def list_entries(as_json: bool) -> None:
    """List the kept results of build steps, the latest used first.

    \b
    Example:
      t3export cache list
    """
    cache = Cache()
    entries = cache.entries()
    if as_json:
        print_json({"folder": str(cache.folder), "entries": [_data(entry) for entry in entries]})
        return
    overview = table("step", "size", "last used", "key")
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        overview.add_row(escape(entry.step), megabytes(entry.size), used, entry.key[:16])
    if entries:
        results().print(overview)
    results().print(escape(f"{_total(entries)} in {cache.folder}"))


@command.command()
@click.option("--keep", metavar="SIZE", default="0", help="Keep this much of the latest used, as 500MB or 2GB.")
@click.option(
    "--older-than", "days", type=click.FloatRange(0), default=0.0, help="Only what was unused this many days."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def prune(keep: str, days: float, as_json: bool) -> None:
    """Delete kept results, all of them unless told otherwise. Bundles are not touched.

    \b
    Examples:
      t3export cache prune
      t3export cache prune --keep 2GB --older-than 7
    """
    deleted = Cache().prune(read_size(keep), days)
    if as_json:
        print_json({"deleted": [_data(entry) for entry in deleted]})
    else:
        results().print(f"deleted {_total(deleted)}")


def read_size(text: str) -> int:
    """Bytes out of `2GB`. Raises RecipeError (exit code 2) for anything else."""
    match = SIZE.match(text)
    if not match:
        raise RecipeError(f"--keep {text}: write a size as 500MB or 2GB")
    unit = match[2].upper()
    return int(float(match[1]) * UNITS[unit if unit.endswith("B") or not unit else f"{unit}B"])


def _total(entries: list[Entry]) -> str:
    return f"{len(entries)} results, {megabytes(sum(entry.size for entry in entries))}"


def _data(entry: Entry) -> dict[str, str | int | float]:
    return {"key": entry.key, "step": entry.step, "size": entry.size, "used": entry.used, "folder": str(entry.folder)}
