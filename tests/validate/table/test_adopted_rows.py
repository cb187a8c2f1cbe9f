"""The table of programs that somebody else exported refuses what it cannot compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import BundleError
from exporter.files.cache import Cache
from exporter.machine.meter import Silent
from validate.table.adopted_rows import adopted_table
from validate.table.make import TableSettings


def test_a_bundle_of_ours_has_a_recipe_to_give(toy_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="give its recipe"):
        adopted_table(
            [toy_bundle],
            TableSettings(),
            tmp_path,
            cache=Cache(),
            progress=Silent(),
            on_row=lambda row, done, total: None,
        )
