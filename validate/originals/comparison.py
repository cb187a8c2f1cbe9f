"""One network beside its authors' own, and how that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """How far what we compute is from what the authors' code computes: |ours - theirs| / |theirs|."""

    network: str
    output: str
    parameters: int
    difference: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.limit


def compared(network: str, output: str, parameters: int, ours: object, theirs: object, limit: float) -> Comparison:
    """A comparison of two arrays. Shapes that differ raise ValueError."""
    own, other = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if own.shape != other.shape:
        raise ValueError(f"{network}: {output} is {own.shape} here and {other.shape} there")
    difference = float(np.linalg.norm(own - other) / np.linalg.norm(other))
    return Comparison(network, output, parameters, difference, limit)


def table(rows: Sequence[Comparison]) -> str:
    """The comparisons as Markdown."""
    lines = ["| network | output | parameters | relative L2 difference | limit |", "|---|---|---:|---:|---:|"]
    for row in rows:
        told = "" if row.passed else " **missed**"
        lines.append(
            f"| {row.network} | {row.output} | {row.parameters:,} | {row.difference:.1e}{told} | {row.limit:.0e} |"
        )
    return "\n".join(lines)


def write_rows(path: Path, family: str, rows: Sequence[Comparison], order: Sequence[str]) -> None:
    """Put comparisons between a page's two marks of a family, in the place of older ones of the same networks; those of
    other networks stay. Raises ValueError for a page without the marks."""
    begin, end = f"<!-- begin {family} -->", f"<!-- end {family} -->"
    page = path.read_text(encoding="utf-8")
    before, found, rest = page.partition(begin)
    inside, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{path}: lacks the lines '{begin}' and '{end}', between which the table goes")
    *head, _ = table(rows[:1]).splitlines()
    again = {row.network for row in rows}
    kept = [line for line in inside.splitlines()[3:] if line.startswith("|") and _network(line) not in again]
    lines = [*kept, *table(rows).splitlines()[2:]]
    text = "\n".join([*head, *sorted(lines, key=lambda line: list(order).index(_network(line)))])
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _network(line: str) -> str:
    """Of a row of a table."""
    return line.split("|")[1].strip()
