"""The page of what changed between two bundles."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from exporter.files.atomic import write_atomically
from validate.diff import Diff
from validate.page.templating import render


def write_diff_page(diff: Diff, path: Path) -> None:
    """Write the page whole or not at all. Raises EnvironmentProblem when it cannot be written."""
    sections = [(name, list(own)) for name, own in groupby(diff.changes, key=lambda change: change.section)]
    page = render("diff.html", title=f"{diff.a} and {diff.b}", diff=diff, sections=sections)
    write_atomically(path, page.encode())
